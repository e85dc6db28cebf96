"""What identity tells the others."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import ApiKeyId, SessionId, UserId


@dataclass(frozen=True, slots=True)
class UserRegistered(Event):
    """Somebody has an account now."""

    name = "identity.user_registered"
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class RefreshReuseDetected(Event):
    """A used-up refresh token was presented; its session has ended."""

    name = "identity.refresh_reuse_detected"
    user_id: UserId
    session_id: SessionId

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class UserDeleted(Event):
    """An account was deleted: it is disabled and anonymised, and what the user had elsewhere goes next."""

    name = "identity.user_deleted"
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class RoleGranted(Event):
    """A user holds a role now."""

    name = "identity.role_granted"
    user_id: UserId
    role: str

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class RoleTaken(Event):
    """A user does not hold a role any more."""

    name = "identity.role_taken"
    user_id: UserId
    role: str

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class UserDisabled(Event):
    """A user may neither log in nor act; their sessions have ended."""

    name = "identity.user_disabled"
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class UserEnabled(Event):
    """A user may log in again."""

    name = "identity.user_enabled"
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The user."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class ApiKeyCreated(Event):
    """There is a new API key; `user_id` is the one who made it, null where it has no maker."""

    name = "identity.api_key_created"
    key_id: ApiKeyId
    user_id: UserId | None

    @property
    def subject(self) -> UUID:
        """The key."""
        return self.key_id


@dataclass(frozen=True, slots=True)
class ApiKeyRevoked(Event):
    """An API key has been ended for good."""

    name = "identity.api_key_revoked"
    key_id: ApiKeyId
    user_id: UserId | None

    @property
    def subject(self) -> UUID:
        """The key."""
        return self.key_id
