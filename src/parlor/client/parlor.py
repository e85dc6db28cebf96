"""Where a program begins: an account or an API key, and all that can be done as it."""

from parlor.client.realtime import Realtime
from parlor.client.rest import Rest
from parlor.client.session import Tokens
from parlor.client.tasks import Tasks


class Parlor(Rest):
    """Parlor at one address: calls, tasks, and one WebSocket that stays."""

    async def log_in(self, email: str, password: str) -> Tokens:
        """Open a session, and go on as it."""
        account = {"email": email, "password": password}
        tokens = Tokens.of(await self.request("POST", "/auth/login", json=account, signed=False))
        await self.session.keep(tokens)
        return tokens

    async def log_out(self) -> None:
        """End the session."""
        await self.post("/auth/logout")
        await self.session.keep(None)

    @property
    def tasks(self) -> Tasks:
        """Order tasks, wait for them, watch them."""
        return Tasks(self)

    def realtime(self) -> Realtime:
        """Open a WebSocket: `async with parlor.realtime() as live`."""
        return Realtime(self)
