"""The published contract over RabbitMQ: an AsyncAPI 3 document, made from the code."""
