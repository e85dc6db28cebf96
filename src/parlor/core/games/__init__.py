"""Games to play together: truth or dare."""
