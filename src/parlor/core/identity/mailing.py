"""Mail as it is written and sent: by a task, after the transaction that ordered it."""

from dataclasses import dataclass
from secrets import token_urlsafe
from typing import ClassVar, Protocol

from parlor.core.identity.mail_orders import MailOrder, Occasion
from parlor.core.identity.mail_tokens import LIFE, MailToken, Purpose, fingerprint_of
from parlor.core.identity.mails import (
    Message,
    about_existing_account,
    about_password_reset,
    about_verification,
)
from parlor.core.identity.model import User, email_key
from parlor.core.identity.ports import IdentityWork
from parlor.core.shared.clock import Clock
from parlor.core.shared.handling import Context, Fail, Retry
from parlor.core.shared.work import UnitOfWork


class MailRefused(Exception):
    """The mail cannot be delivered, and will not be later: the reason without the address and the text."""


class MailUnreachable(Exception):
    """No server took the mail; another attempt may."""


class Mail(Protocol):
    """Sends mail."""

    async def send(self, message: Message) -> None:
        """Hand it over, within 10 s. Raises MailRefused, MailUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """It was handed over, or there was nobody to write to."""


@dataclass(frozen=True, slots=True)
class SendMailHandler:
    """Parlor itself writes to whoever has an active account under the address of an order.

    Only here is a token drawn, when its mail is about to go, so that nothing but its hash is ever stored. An attempt
    that is repeated draws another one, which replaces it. The mail goes to the address as its owner typed it.
    """

    kind: ClassVar[str] = "send_mail"
    permission: ClassVar[str | None] = None
    internal: ClassVar[bool] = True

    work: UnitOfWork[IdentityWork]
    mail: Mail
    clock: Clock
    public_url: str | None

    async def __call__(self, payload: MailOrder, context: Context) -> Posted:
        message = await self._written(payload)
        if message is not None:
            await self._send(message)
            context.log.info("mail_sent", occasion=payload.occasion)
        return Posted()

    async def _written(self, order: MailOrder) -> Message | None:
        async with self.work() as work:
            user = await work.users.find_by_email(email_key(order.email.strip()))
            if user is None or not user.active:
                return None
            match order.occasion:
                case Occasion.ACCOUNT_EXISTS:
                    return about_existing_account(user.email, self.public_url)
                case Occasion.PASSWORD_RESET:
                    token = await self._draw(work, user, Purpose.PASSWORD_RESET)
                    return about_password_reset(user.email, token, self.public_url)
                case Occasion.EMAIL_VERIFICATION if not user.email_verified:
                    token = await self._draw(work, user, Purpose.EMAIL_VERIFICATION)
                    return about_verification(user.email, token, self.public_url)
                case _:
                    return None

    async def _draw(self, work: IdentityWork, user: User, purpose: Purpose) -> str:
        secret = token_urlsafe(32)
        token = MailToken(user.id, purpose, fingerprint_of(secret), user.email_key, self.clock() + LIFE)
        await work.mail_tokens.replace(token)
        return secret

    async def _send(self, message: Message) -> None:
        try:
            await self.mail.send(message)
        except MailRefused as error:
            raise Fail("mail_refused", str(error)) from error
        except MailUnreachable as error:
            raise Retry("mail_unreachable", str(error)) from error
