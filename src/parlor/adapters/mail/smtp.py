"""Mail over SMTP: one connection a mail, encrypted wherever the server can."""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from parlor.adapters.mail.envelope import domain_of, enveloped
from parlor.core.identity.mailing import MailRefused, MailUnreachable
from parlor.core.identity.mails import Message

TIMEOUT_S = 10.0
PERMANENT = 500
PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over. `smtps` is encrypted from the first byte, `smtp` by STARTTLS.

    Without a user, STARTTLS is done where the server offers it; with one it must, so that no password goes in the
    clear. A server on this machine needs neither.
    """

    host: str
    port: int
    encrypted: bool = False
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `smtp://user:password@host:port` or `smtps://…`; raises ValueError, never with the password."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("it must be smtp://user:password@host:port or smtps://…")
        return cls(
            host=parts.hostname,
            port=parts.port or PORTS[parts.scheme],
            encrypted=parts.scheme == "smtps",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    @property
    def start_tls(self) -> bool | None:
        """Whether STARTTLS is done: None is where it is offered."""
        if self.encrypted or _here(self.host):
            return False
        return True if self.user is not None else None


class SmtpMail:
    """Port `Mail`. 10 s for all of a mail."""

    def __init__(self, server: SmtpServer, *, sender: str) -> None:
        self._server = server
        self._sender = sender

    async def send(self, message: Message) -> None:
        """Hand it over. Raises MailRefused for what the server refuses for good, else MailUnreachable."""
        mail = enveloped(message, self._sender)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._connection() as connection:
                await connection.send_message(mail, recipients=[message.to])
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise _translated(error) from error

    def _connection(self) -> SMTP:
        server = self._server
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.encrypted,
            start_tls=server.start_tls,
            local_hostname=domain_of(self._sender),
            timeout=TIMEOUT_S,
        )


def _translated(error: Exception) -> MailRefused | MailUnreachable:
    """Say it without what the server said: that may repeat the address."""
    match error:
        case SMTPRecipientsRefused(recipients=[refused, *_]):
            return _answered(refused.code)
        case SMTPNotSupported():
            return MailRefused("The mail server does not take addresses like this one.")
        case SMTPAuthenticationError():
            return MailUnreachable("The mail server does not take our user and password.")
        case SMTPResponseException():
            return _answered(error.code)
        case _:
            return MailUnreachable(f"The mail server cannot be reached ({type(error).__name__}).")


def _answered(code: int) -> MailRefused | MailUnreachable:
    kind = MailRefused if code >= PERMANENT else MailUnreachable
    return kind(f"The mail server answered {code}.")


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
