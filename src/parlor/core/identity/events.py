"""What identity tells the others."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import SessionId, UserId


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
