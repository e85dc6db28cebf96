"""A client of Parlor's API that reconnects, refreshes and resumes by itself; imports nothing of the server."""

from parlor.client.backoff import Backoff
from parlor.client.chats import LiveChat
from parlor.client.errors import ClientError, Problem, Refused, SignedOut, Unreachable
from parlor.client.parlor import Parlor
from parlor.client.realtime import Realtime
from parlor.client.session import Tokens
from parlor.client.tasks import Tasks

__all__ = [
    "Backoff",
    "ClientError",
    "LiveChat",
    "Parlor",
    "Problem",
    "Realtime",
    "Refused",
    "SignedOut",
    "Tasks",
    "Tokens",
    "Unreachable",
]
