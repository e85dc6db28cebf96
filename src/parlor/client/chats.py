"""A chat as it changes: each change once, in the order of `rev`, across any number of disconnections.

The rules, from section 6 of the contract. `rev` is the position: everything up to it was given.

* A live change carries the next `rev`; an older one was seen; a later one shows that some are missing.
* From `subscribed` to `caught_up` the server repeats what changed, each message once under its newest `rev`: holes up
  to `subscribed.last_rev` are normal there, and at `caught_up.rev` nothing is missing.
* What is missing, shown by a hole or told by a `gap`, is pulled from `/changes`, page by page, up to where the live
  changes go on; a message that has changed again since then comes with them.
* After a reconnection the subscription begins at `rev`, so what was not given yet need not be kept.
"""

import asyncio
from collections import deque
from typing import Any, Protocol, Self

from parlor.client.errors import ClientError, Problem
from parlor.client.mailbox import Closed, Frame, Mailbox
from parlor.client.rest import Rest

INBOX = 256
PAGE = 100
UNKNOWN = -1
NOT_FOUND = 404


class Line(Protocol):
    """What a chat needs of the connection by which it comes."""

    @property
    def rest(self) -> Rest:
        """Calls, for what has to be pulled."""
        ...

    async def subscribe(self, chat: "LiveChat") -> None:
        """Ask for the chat's changes, now and after every reconnection."""
        ...

    async def unsubscribe(self, chat: "LiveChat") -> None:
        """Ask for no more of them."""
        ...


class LiveChat:
    """Iterates over a chat's changes: the frames of the contract, with `type`, `rev`, and `message` or `user_id`.

    Put messages by their `id` into whatever shows them: after a while away only the newest state of each comes. Keep
    `rev` to go on from there another day. The iteration ends when one leaves, is removed, or the chat is deleted
    (`ended` says which); Refused is raised where one was not in the chat to begin with. One reader at a time. Where an
    installation keeps messages for so long only, `first_seq` becomes the place of the oldest one left.

    `/changes` has messages alone: joins and leaves within a stretch that had to be pulled are not told. Then
    `members_missed` is true, until `members` reads who is there; those that come later are told as ever.
    """

    def __init__(self, line: Line, chat_id: str, since_rev: int | None) -> None:
        self.chat_id = chat_id
        self.ended: str | None = None
        self.first_seq = 1
        self.members_missed = False
        self.answered = False  # whether the present subscription is known to stand
        self._line = line
        self._rev = UNKNOWN if since_rev is None else since_rev
        self._inbox = Mailbox(INBOX)
        self._due = deque[Frame]()  # come, and next in turn
        self._whole_to = UNKNOWN  # once those are given, nothing up to here is missing
        self._replay_to = UNKNOWN
        self._missing_to = UNKNOWN
        self._begun = False

    @property
    def rev(self) -> int | None:
        """The position: `since_rev` of the next subscription; None until there is one."""
        return None if self._rev == UNKNOWN else self._rev

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        await self._begin()
        while True:
            if self._due:
                change = self._due.popleft()
                self._rev = change["rev"]
                return change
            self._rev = max(self._rev, self._whole_to)
            if self._rev < self._missing_to:
                await self._pull()
            else:
                await self._next_frame()

    async def members(self) -> list[dict[str, Any]]:
        """Read who is in the chat now. Raises Problem (404) where one is not in it oneself."""
        self.members_missed = False
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = await self._line.rest.get(f"/chats/{self.chat_id}/members", **query)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    async def close(self) -> None:
        """Unsubscribe."""
        self.end("asked")
        await self._line.unsubscribe(self)

    def subscription(self) -> Frame:
        """Ask anew, on a new connection: what came by the last one and was not given yet comes again."""
        self._inbox.empty()
        self.answered = False
        frame: Frame = {"type": "subscribe", "chat_id": self.chat_id}
        return frame if self.rev is None else {**frame, "since_rev": self.rev}

    def arrive(self, frame: Frame) -> None:
        """Take a frame from the connection; a reader that is too slow finds a gap in the place of its frames."""
        if frame["type"] == "subscribed":
            self.answered = True
        if self._rev == UNKNOWN:
            self._rev = _position_before(frame)
        if self._inbox.full:
            lost = [*self._inbox.empty(), frame]
            frame = {"type": "gap", "to_rev": max(map(_reaches, lost))}
        self._inbox.put(frame)

    def end(self, reason: str | None, error: Exception | None = None) -> None:
        """Give what is there, then no more."""
        self.ended = self.ended or reason
        self._inbox.end(error)

    async def _begin(self) -> None:
        if not self._begun:
            await self._line.subscribe(self)
            self._begun = True

    async def _next_frame(self) -> None:
        try:
            frame = await self._inbox.get()
        except Closed:
            raise StopAsyncIteration from None
        match frame:
            case {"type": "subscribed", "last_rev": last}:
                self._replay_to = last
            case {"type": "caught_up", "rev": rev}:
                self._whole_to, self._replay_to = rev, UNKNOWN
            case {"type": "gap", "to_rev": last}:
                self._missing_to = max(self._missing_to, last)
            case {"rev": rev} if rev <= self._rev:
                pass  # seen
            case {"rev": rev} if rev == self._rev + 1 or rev <= self._replay_to:
                self._due.append(frame)
            case {"rev": rev}:
                self._missing_to = rev - 1
                self._inbox.put_back(frame)
            case _:
                pass  # of a sort that is newer than this client

    async def _pull(self) -> None:
        """Read a page of what is missing; who may not read it any more has been removed in the meantime."""
        try:
            page = await self._changes()
        except Problem as problem:
            if problem.status != NOT_FOUND:
                raise
            self.end("removed")
            raise StopAsyncIteration from None
        self.first_seq = page.get("first_seq", self.first_seq)
        last = self._missing_to if page["next_rev"] is None else min(page["next_rev"], self._missing_to)
        missing = (one for one in page["items"] if self._rev < one["rev"] <= last)
        self._due.extend(map(_as_change, missing))
        self.members_missed = True
        self._whole_to = last

    async def _changes(self) -> Any:
        attempt = 0
        while True:
            try:
                path = f"/chats/{self.chat_id}/changes"
                return await self._line.rest.get(path, since_rev=self._rev, limit=PAGE)
            except ClientError as error:
                if self._inbox.ended or not error.temporary:
                    raise
                pause = self._line.rest.backoff.pause(attempt, at_least=error.retry_after)
            await asyncio.sleep(pause)
            attempt += 1


def _position_before(frame: Frame) -> int:
    match frame:
        case {"type": "subscribed", "last_rev": last}:
            return int(last)
        case {"from_rev": rev} | {"rev": rev}:
            return int(rev) - 1
        case _:
            return UNKNOWN


def _reaches(frame: Frame) -> int:
    match frame:
        case {"rev": rev} | {"to_rev": rev}:
            return int(rev)
        case _:
            return UNKNOWN


def _as_change(message: dict[str, Any]) -> Frame:
    """Say what a replay would say of this message."""
    kind = "deleted" if message["deleted_at"] else "edited" if message["edited_at"] else "created"
    return {
        "type": f"message.{kind}",
        "chat_id": message["chat_id"],
        "rev": message["rev"],
        "message": message,
    }
