"""Parties: people who belong together, with an owner, a number of seats, and a chat of their own."""
