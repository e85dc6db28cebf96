"""Parties, members and invitations on the wire."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from parlor.core.parties.model import (
    CAPACITY,
    DEFAULT_CAPACITY,
    MAX_DESCRIPTION,
    NAME_LENGTH,
    Changes,
    InvitationStatus,
    NewParty,
    Role,
    Visibility,
    folded,
)
from parlor.core.shared.ids import UserId
from parlor.entrypoints.http.schemas import Body, Prose, Shown, ShownTime, Words

Name = Annotated[
    Words,
    AfterValidator(folded),
    Field(
        min_length=NAME_LENGTH[0],
        max_length=NAME_LENGTH[1],
        description="White space is folded: none around it, one blank for each run inside.",
        examples=["Dragons of Tuesday"],
    ),
]
Description = Annotated[Prose, Field(max_length=MAX_DESCRIPTION)]
AnyVisibility = Annotated[Visibility, Field(strict=False)]
Capacity = Annotated[int, Field(ge=CAPACITY[0], le=CAPACITY[1], description="How many members there may be.")]
Person = Annotated[UUID, Field(strict=False)]
Somebody = Annotated[UUID | None, Field(strict=False, description="For services: whom it is about.")]


class PartyBody(Body):
    """A new party."""

    name: Name
    description: Description = ""
    visibility: AnyVisibility = Visibility.PUBLIC
    capacity: Capacity = DEFAULT_CAPACITY
    owner_id: Somebody = None

    def new(self) -> NewParty:
        """Say it to the core; what was not sent stays as the core has it."""
        named = self.model_fields_set - {"owner_id"}
        return NewParty(**{name: getattr(self, name) for name in named})


class PartyChanges(Body):
    """What is to become different; what is not sent stays."""

    name: Annotated[Name, Field(default_factory=str)]
    description: Annotated[Description, Field(default_factory=str)]
    visibility: Annotated[AnyVisibility, Field(default_factory=lambda: Visibility.PUBLIC)]
    capacity: Annotated[Capacity, Field(default_factory=int)]

    def changes(self) -> Changes:
        """Say it to the core, without what was not sent."""
        return Changes(**{name: getattr(self, name) for name in self.model_fields_set})


class WhoseSeat(Body):
    """Whose seat it is; people need not say so."""

    user_id: Somebody = None


class SomeUser(Body):
    """Whom it is about."""

    user_id: Person


class RoleChange(Body):
    """What a member is to be; ownership is handed over at `/owner`."""

    role: Literal["officer", "member"]


class Party(Shown):
    """A party. `member_count` moves without the version, which is for what people edit."""

    id: UUID
    name: str
    description: str
    visibility: Visibility
    capacity: int
    owner_id: UUID
    member_count: int
    chat_id: UUID
    created_at: ShownTime
    updated_at: ShownTime
    version: int


class PartyPage(Shown):
    """Parties, in the order that was asked for."""

    items: list[Party]
    next_cursor: str | None


class Member(Shown):
    """Somebody's seat in a party."""

    user_id: UUID
    display_name: str
    role: Role
    joined_at: ShownTime


class MemberPage(Shown):
    """Members, the longest-serving first."""

    items: list[Member]
    next_cursor: str | None


class Invitation(Shown):
    """An invitation, good for seven days; one that was not answered by `expires_at` is `expired`."""

    id: UUID
    party_id: UUID
    inviter_id: UUID
    guest_id: UUID
    status: InvitationStatus
    expires_at: ShownTime


class InvitationPage(Shown):
    """Invitations, newest first."""

    items: list[Invitation]
    next_cursor: str | None


def user_of(body: WhoseSeat | None) -> UserId | None:
    """Answer whom a body names, if anybody."""
    return UserId(body.user_id) if body is not None and body.user_id is not None else None
