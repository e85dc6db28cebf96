"""What is published: over one connection of its own, where many commands are on their way at once."""

import asyncio
from collections import deque
from collections.abc import Callable

from redis.asyncio import Connection
from redis.exceptions import ConnectionError as ConnectionLost, RedisError, ResponseError

_PUBLISH = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"

Taken = asyncio.Future[None]


class RedisOutlet:
    """Publishes without borrowing a connection for each message, which costs as much as the rest of it.

    The connection is made when it is needed. Whoever gives up waiting for an answer ends it: it may be dead.
    """

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._owed = deque[Taken]()
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, channel: str, message: bytes) -> None:
        """Return when Redis has it. Raises RedisError, OSError."""
        connection = self._connection or await self._connected()
        name = channel.encode()
        command = _PUBLISH % (len(name), name, len(message), message)
        taken: Taken = asyncio.get_running_loop().create_future()
        self._owed.append(taken)
        try:
            await connection.send_packed_command(command, check_health=False)
            await taken
        except (OSError, RedisError, asyncio.CancelledError) as error:
            if not isinstance(error, ResponseError):
                await self._drop(connection)
            raise

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            await self._drop(self._connection)

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is None:
                connection = self._make()
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's own gap
                self._connection = connection
                self._reader = asyncio.create_task(self._read(connection))
            return self._connection

    async def _read(self, connection: Connection) -> None:
        """Take the answers, which come in the order of the commands."""
        try:
            while True:
                await self._read_one(connection)
        except (OSError, RedisError):
            await self._drop(connection)

    async def _read_one(self, connection: Connection) -> None:
        try:
            await connection.read_response(disconnect_on_error=False)
        except ResponseError as refused:
            taken = self._owed.popleft()
            if not taken.done():
                taken.set_exception(refused)
        else:
            taken = self._owed.popleft()
            if not taken.done():
                taken.set_result(None)

    async def _drop(self, connection: Connection) -> None:
        """Forget a connection, and tell everybody who waits for its answers."""
        if self._connection is not connection:
            return
        self._connection = None
        owed, self._owed = self._owed, deque()
        for taken in owed:
            if not taken.done():
                taken.set_exception(ConnectionLost("the connection for hints has ended"))
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        await connection.disconnect(nowait=True)
