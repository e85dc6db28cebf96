"""Background tasks: enqueued with the change that causes them, run once, answered for."""
