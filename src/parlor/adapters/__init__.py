"""What the core's ports are in the world: databases, brokers, clocks, hashes."""
