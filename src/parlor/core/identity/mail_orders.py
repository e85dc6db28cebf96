"""Mail to the owner of an account, ordered within a transaction and written after it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Protocol

from parlor.core.identity.model import EMAIL_LENGTH
from parlor.core.shared.rules import Length, Secret


class Occasion(StrEnum):
    """Why somebody gets a mail."""

    PASSWORD_RESET = "password_reset"  # noqa: S105 - an occasion's name
    EMAIL_VERIFICATION = "email_verification"
    ACCOUNT_EXISTS = "account_exists"


@dataclass(frozen=True, slots=True)
class MailOrder:
    """A mail for whoever has an account under this address. There may be nobody."""

    occasion: Occasion
    email: Annotated[str, Length(*EMAIL_LENGTH), Secret()]


class MailOrders(Protocol):
    """The mails that a transaction wants sent."""

    async def add(self, order: MailOrder) -> None:
        """Have it written and sent once the transaction has committed. The same work for every address."""
        ...
