"""The same task that does nothing, in other people's libraries: each file is a worker's app and a producer."""
