"""RabbitMQ as the message bus between processes."""
