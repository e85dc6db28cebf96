"""Redis behind the ports that may forget: cache and feed."""
