"""Parlor: accounts with roles and background tasks in one service."""
