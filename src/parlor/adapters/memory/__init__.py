"""The same ports inside one process: what the embedded mode runs on."""
