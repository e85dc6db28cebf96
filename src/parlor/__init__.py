"""Parlor: accounts, parties, chats and background tasks in one service."""
