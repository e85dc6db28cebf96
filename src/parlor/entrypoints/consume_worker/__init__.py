"""The process that runs tasks and publishes the outboxes."""
