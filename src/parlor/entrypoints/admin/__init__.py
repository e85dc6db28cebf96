"""The console: what there is, and what may be done about it, in a browser."""
