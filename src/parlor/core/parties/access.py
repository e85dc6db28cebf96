"""Who may do what with a party: people by their role in it, services and administrators with any."""

from dataclasses import dataclass
from datetime import datetime

from parlor.core.parties.model import Banned, Party, PartyOwner, Role, RoleNeeded, Visibility
from parlor.core.parties.ports import PartyWork, Standing
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import Flaw, Invalid, NotFound
from parlor.core.shared.ids import PartyId, UserId

READ = "parties:read"
WRITE = "parties:write"
MANAGE = "parties:manage"
ANYTHING = frozenset({READ, WRITE, MANAGE})
STRANGER = Standing()


class UserRequired(Invalid):
    """A service must say whom it acts for."""

    code = "user_required"

    def __init__(self, pointer: str) -> None:
        super().__init__(flaws=[Flaw(pointer, "user_required", "A service must say whom it acts for.")])


def sees_any(actor: Actor) -> bool:
    """Whether the actor sees every party, private ones too."""
    return not ANYTHING.isdisjoint(actor.permissions)


def admit(actor: Actor, *, permission: str = WRITE) -> None:
    """Raise PermissionMissing for a service without the permission; people need none for what is theirs."""
    if actor.kind is not ActorKind.USER:
        actor.must(permission)


def admit_reader(actor: Actor) -> None:
    """Raise PermissionMissing for a service that may not look."""
    if not sees_any(actor):
        admit(actor, permission=READ)


def person_of(actor: Actor, named: UserId | None, pointer: str, *, permission: str = WRITE) -> UserId:
    """Answer who it is about: oneself, or whom somebody with the permission names.

    Raises PermissionMissing, UserRequired (a service that names nobody).
    """
    admit(actor, permission=permission)
    oneself = actor.user_id if actor.kind is ActorKind.USER else None
    if named is None or named == oneself:
        if oneself is None:
            raise UserRequired(pointer)
        return oneself
    actor.must(permission)
    return named


@dataclass(frozen=True, slots=True)
class Scene:
    """A party, locked, and as what the actor acts on it: a member's role, the owner's powers, or nothing."""

    party: Party
    role: Role | None

    @property
    def led(self) -> bool:
        """Whether the actor is the owner or an officer."""
        return self.role in (Role.OWNER, Role.OFFICER)

    def must_lead(self) -> None:
        """Raise RoleNeeded unless it is the owner or an officer."""
        if not self.led:
            raise RoleNeeded

    def must_own(self) -> None:
        """Raise RoleNeeded unless it is the owner."""
        if self.role is not Role.OWNER:
            raise RoleNeeded

    def must_outrank(self, target: Role | None) -> None:
        """Raise RoleNeeded, or PartyOwner: officers act on members only, and nobody on the owner."""
        self.must_lead()
        if target is Role.OWNER:
            raise PartyOwner
        if self.role is Role.OFFICER and target is Role.OFFICER:
            raise RoleNeeded


async def entered(work: PartyWork, actor: Actor, party_id: PartyId, at: datetime) -> Scene:
    """Lock a party, and find out as what the actor acts on it. Raises NotFound where it is invisible."""
    party = await work.parties.get(party_id)
    standing = await standing_of(work, actor, party_id, at)
    must_see(actor, party, standing)
    return Scene(party, role_of(actor, standing))


def role_of(actor: Actor, standing: Standing) -> Role | None:
    """Answer as what the actor acts: whoever may write any party has every owner's powers."""
    return Role.OWNER if actor.may(WRITE) else standing.role


async def standing_of(work: PartyWork, actor: Actor, party_id: PartyId, at: datetime) -> Standing:
    """Find what the actor is to a party; a service is a stranger everywhere, whoever made its key."""
    if actor.kind is not ActorKind.USER or actor.user_id is None:
        return STRANGER
    return await work.parties.standing(party_id, actor.user_id, at)


def must_see(actor: Actor, party: Party, standing: Standing) -> None:
    """Raise NotFound where it is a private party of other people."""
    public = party.visibility is Visibility.PUBLIC
    if not (public or standing.role or standing.invited or sees_any(actor)):
        raise NotFound


def must_be_welcome(standing: Standing) -> None:
    """Raise Banned."""
    if standing.banned:
        raise Banned
