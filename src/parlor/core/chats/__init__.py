"""Chats: direct ones, groups, and those of parties, with their messages in one order."""
