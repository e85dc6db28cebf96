"""How fast Parlor is, each time beside a floor that does the same work by hand: `python -m benchmarks`."""
