"""A mail server of a test's own: it takes what comes, or answers as the test says."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

GREETING = "220 mail.test"
EXTENSIONS = ("mail.test", "8BITMIME", "SMTPUTF8", "AUTH PLAIN")


@dataclass(slots=True)
class Inbox:
    """What arrived; `replies` maps a command to another answer than yes."""

    port: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = EXTENSIONS
    silent: bool = False
    said: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            if self.silent:
                await reader.read()
                return
            writer.write(f"{GREETING}\r\n".encode())
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                self.said.append(line)
                await self._answer(line, reader, writer)
                if line == "QUIT":
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = line.split(" ", maxsplit=1)[0].upper()
        if word in self.replies:
            writer.write(f"{self.replies[word]}\r\n".encode())
        elif word == "EHLO":
            lines = [f"250-{one}" for one in self.extensions[:-1]] + [f"250 {self.extensions[-1]}"]
            writer.write("".join(f"{one}\r\n" for one in lines).encode())
        elif word == "AUTH":
            self.credentials.append(base64.b64decode(line.split(" ")[2]).decode())
            writer.write(b"235 welcome\r\n")
        elif word == "DATA":
            writer.write(b"354 go on\r\n")
            self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"250 taken\r\n")
        else:
            writer.write(b"250 yes\r\n")


@asynccontextmanager
async def an_inbox(tls: ssl.SSLContext | None = None) -> AsyncIterator[Inbox]:
    """Serve on a free port of this machine."""
    inbox = Inbox()
    server = await asyncio.start_server(inbox.talk, "127.0.0.1", 0, ssl=tls)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
