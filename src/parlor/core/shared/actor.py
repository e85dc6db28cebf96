"""Who acts, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from parlor.core.shared.errors import Forbidden
from parlor.core.shared.ids import UserId


class ActorKind(StrEnum):
    """What sort of caller it is."""

    USER = "user"
    API_KEY = "api_key"
    SCHEDULE = "schedule"
    PRODUCER = "producer"
    SYSTEM = "system"


class PermissionMissing(Forbidden):
    """A permission is missing."""

    code = "permission_missing"


class PersonRequired(Forbidden):
    """This is a person's own: no API key may do it."""

    code = "person_required"


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller of a use case: `id` in its kind, `user_id` the person it acts for, if any."""

    kind: ActorKind
    id: UUID | None = None
    user_id: UserId | None = None
    permissions: frozenset[str] = frozenset()

    def may(self, permission: str) -> bool:
        """Whether this actor holds the permission."""
        return permission in self.permissions

    def must(self, permission: str) -> None:
        """Raise PermissionMissing unless this actor holds the permission."""
        if permission not in self.permissions:
            raise PermissionMissing(f"This needs the permission {permission}.")


SYSTEM = Actor(kind=ActorKind.SYSTEM)
