"""Tokens that are mailed: whoever shows one reads the mail of its user's address."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from parlor.core.identity.model import User
from parlor.core.shared.errors import Unauthenticated
from parlor.core.shared.ids import UserId

LIFE = timedelta(hours=1)


class InvalidMailToken(Unauthenticated):
    """The token from the mail is unknown, used, replaced by a newer one, or older than an hour."""

    code = "invalid_mail_token"


class Purpose(StrEnum):
    """What a mailed token is good for."""

    PASSWORD_RESET = "password_reset"  # noqa: S105 - a purpose's name
    EMAIL_VERIFICATION = "email_verification"


@dataclass(frozen=True, slots=True)
class MailToken:
    """One token a user and purpose, bound to the address that it was mailed to; only its hash is stored."""

    user_id: UserId
    purpose: Purpose
    fingerprint: bytes
    email_key: str
    expires_at: datetime

    def must_serve(self, user: User, at: datetime) -> None:
        """Raise InvalidMailToken unless it is still in time, and the user's address is the one it went to."""
        if at >= self.expires_at or user.email_key != self.email_key or not user.active:
            raise InvalidMailToken


class MailTokens(Protocol):
    """The mailed tokens that have not been used."""

    async def replace(self, token: MailToken) -> None:
        """Store it in place of its user's older one for the same purpose."""
        ...

    async def find(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        """Look at it without a lock. Raises InvalidMailToken where there is none."""
        ...

    async def take(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        """Find it and remove it: of many who take the same one, one gets it. Raises InvalidMailToken."""
        ...

    async def revoke(self, user_id: UserId, *, purpose: Purpose | None = None) -> None:
        """Remove the user's, of this purpose or all."""
        ...


def fingerprint_of(token: str) -> bytes:
    """Hash with SHA-256: 256 random bits are nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
