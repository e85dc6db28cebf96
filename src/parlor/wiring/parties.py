"""Parties: what readers see of them, and how people come in."""

from parlor.adapters.memory.turnstile import MemoryTurnstile
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.parties import SqlDoors
from parlor.adapters.sql.party_views import SqlInvitationViews, SqlPartyViews, SqlSeats
from parlor.core.parties.ports import Doors, InvitationViews, PartyViews, Seats, Turnstile
from parlor.core.shared.clock import Clock
from parlor.wiring.assembly import Assembly


def wire_parties(parts: Assembly, database: Database) -> None:
    """Put their adapters behind the ports that are not of a work."""
    clock = parts.get(Clock)
    parts.add(PartyViews, SqlPartyViews(database, clock))
    parts.add(InvitationViews, SqlInvitationViews(database, clock))
    parts.add(Seats, SqlSeats(database))
    parts.add(Doors, SqlDoors(database))
    parts.add(Turnstile, MemoryTurnstile())
