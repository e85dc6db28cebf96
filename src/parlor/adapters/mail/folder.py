"""Mail into a folder, a file each: for development, and for programs that watch folders."""

import asyncio
import os
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

from parlor.adapters.mail.envelope import enveloped
from parlor.core.identity.mailing import MailUnreachable
from parlor.core.identity.mails import Message
from parlor.core.shared.ids import uuid7


class FolderMail:
    """Port `Mail`: `<time-ordered id>.eml`, which only its owner reads, and which is whole when it appears."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, message: Message) -> None:
        """Write the file. Raises MailRefused, and MailUnreachable where the folder takes none."""
        mail = enveloped(message, self._sender)
        try:
            await asyncio.to_thread(self._write, mail)
        except OSError as error:
            raise MailUnreachable(f"The folder of mails cannot be written: {error.strerror}.") from error

    def _write(self, mail: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid7()}.eml"
        unfinished = path.with_suffix(".part")
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o600), "wb") as file:
            BytesGenerator(file, policy=SMTPUTF8).flatten(mail)
        unfinished.rename(path)
