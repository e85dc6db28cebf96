"""The rules of Parlor: standard library only, no I/O but through ports."""
