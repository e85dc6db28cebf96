"""Mail where none is set up: said in the log, and no failure."""

import structlog

from parlor.core.identity.mails import Message

log = structlog.get_logger()


class NoMail:
    """Port `Mail`."""

    async def send(self, message: Message) -> None:
        """Say that a mail went nowhere; neither to whom nor what it said."""
        log.warning("mail_not_sent", why="set PARLOR_SMTP_URL or PARLOR_MAIL_DIR", subject=message.subject)
