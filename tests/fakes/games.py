"""The ports of games in memory."""

from dataclasses import dataclass, field

from parlor.core.shared.ids import PartyId, UserId


@dataclass(slots=True)
class FakeSeats:
    """Port Seats: those that a test puts there."""

    taken: set[tuple[PartyId, UserId]] = field(default_factory=set)

    async def is_member(self, party_id: PartyId, user_id: UserId) -> bool:
        return (party_id, user_id) in self.taken
