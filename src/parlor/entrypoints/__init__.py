"""The doors: HTTP, the worker, the command line."""
