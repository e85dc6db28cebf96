"""What parties do when an account is deleted."""

from dataclasses import dataclass

from parlor.core.parties.invitations import revoke
from parlor.core.parties.membership import let_go
from parlor.core.parties.model import Farewell
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.work import UnitOfWork

BATCH = 100


@dataclass(frozen=True, slots=True)
class LeaveEveryParty:
    """Who has deleted the account leaves every party by the hand-over rule, and is nobody's guest any more.

    One transaction a party, so that no lock is held longer than for a leave; to call it again is to go on.
    """

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, user_id: UserId) -> None:
        last: PartyId | None = None
        while True:
            async with self.work() as work:
                party_ids = await work.memberships.ties(user_id, after=last, limit=BATCH)
            for party_id in party_ids:
                await self._leave(party_id, user_id)
            if len(party_ids) < BATCH:
                return
            last = party_ids[-1]

    async def _leave(self, party_id: PartyId, user_id: UserId) -> None:
        now = self.clock()
        async with self.work() as work:
            try:
                party = await work.parties.get(party_id)
            except NotFound:
                return
            invitation = await work.invitations.pending(party_id, user_id)
            if invitation is not None:
                await revoke(work, invitation, now)
            membership = await work.memberships.find(party_id, user_id)
            if membership is not None:
                await let_go(work, party, membership, Farewell.DELETED, now)
