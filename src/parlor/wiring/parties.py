"""Parties: what readers see of them."""

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.party_views import SqlInvitationViews, SqlPartyViews, SqlSeats
from parlor.core.parties.ports import InvitationViews, PartyViews, Seats
from parlor.core.shared.clock import Clock
from parlor.wiring.assembly import Assembly


def wire_parties(parts: Assembly, database: Database) -> None:
    """Put the views behind their ports; commands need no more than a work and the clock."""
    clock = parts.get(Clock)
    parts.add(PartyViews, SqlPartyViews(database, clock))
    parts.add(InvitationViews, SqlInvitationViews(database, clock))
    parts.add(Seats, SqlSeats(database))
