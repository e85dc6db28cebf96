"""Chats that somebody in this process listens to, and their subscriptions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.frames import Frame, Gap, Reason, told, unsubscribed
from parlor.core.chats.order import MOST_EARLY, Order
from parlor.core.chats.presence import Attendance
from parlor.core.shared.ids import ChatId, UserId

MOST_WAITING = 256


class Listener(Protocol):
    """Whoever follows chats over one connection."""

    @property
    def user_id(self) -> UserId:
        """Who that is."""
        ...

    def tell(self, frame: Frame) -> None:
        """Take a frame; never waits, and never fails."""
        ...

    def show(self, chat_id: ChatId, user_id: UserId, *, online: bool) -> None:
        """Take whether somebody is present in a chat; never waits."""
        ...

    async def ready(self) -> None:
        """Wait until there is room for what the listener has asked for."""
        ...


@dataclass(eq=False, slots=True)
class Subscription:
    """One listener's place in a room. While it catches up from the table, what happens meanwhile waits for it."""

    listener: Listener
    chat_id: ChatId
    rev: int = 0
    """Everything up to here was given, or is the listener's own to know."""
    ended: Reason | None = None
    waits_since: int | None = None
    """What happens later than this waits here, or was given."""
    member_at: int | None = None
    """The rev at which the listener was seen to be in the chat."""
    left_at: int = 0
    waiting: list[Frame] | None = field(default_factory=list[Frame])
    missed: bool = False

    @property
    def follows(self) -> bool:
        """Whether it has caught up, and goes on."""
        return self.ended is None and self.waiting is None

    def take(self, frame: Frame) -> None:
        """Give the frame, or keep it for later; more than 256 are not kept."""
        if self.waiting is None:
            self._give(frame)
        elif frame.passes or self.missed:
            return
        elif len(self.waiting) < MOST_WAITING:
            self.waiting.append(frame)
        else:
            self.missed = True

    def can_join(self, room_rev: int) -> bool:
        """Whether nothing is missing between what the table had and what waits here."""
        if self.missed:
            self.waiting, self.missed, self.waits_since = [], False, room_rev
            return False
        return self.waits_since is not None and self.waits_since <= self.rev

    def join(self) -> None:
        """Give what waits, and from now on what happens."""
        kept, self.waiting = self.waiting or (), None
        for frame in kept:
            self._give(frame)

    def seen_inside(self, rev: int) -> None:
        """Note that the table has the listener in the chat."""
        self.member_at = rev
        if self.left_at > rev:
            self.end(Reason.REMOVED)

    def leaves(self, rev: int) -> None:
        """Note that the listener left, which is news unless the table has them in the chat later."""
        self.left_at = max(self.left_at, rev)
        if self.member_at is not None and self.member_at < rev:
            self.end(Reason.REMOVED)

    def end(self, reason: Reason) -> None:
        """Tell no more."""
        if self.ended is None:
            self.ended = reason
            self.listener.tell(unsubscribed(self.chat_id, reason))

    def _give(self, frame: Frame) -> None:
        if self.ended is not None or (frame.changes and frame.to_rev <= self.rev):
            return
        self.rev = max(self.rev, frame.to_rev)
        self.listener.tell(frame)


@dataclass(eq=False, slots=True)
class Room:
    """One chat's subscriptions here, and the order in which they are told."""

    chat_id: ChatId
    attendance: Attendance
    order: Order | None = None
    stop: Callable[[], None] = lambda: None
    """Ends the listening to the feed."""
    subscriptions: set[Subscription] = field(default_factory=set[Subscription])
    over: bool = False
    _early: list[Change] = field(init=False, default_factory=list[Change])

    @property
    def incomplete(self) -> bool:
        """Whether a change is missing that is known to have happened."""
        return self.order is not None and self.order.incomplete and not self.over

    def enter(self, listener: Listener) -> Subscription:
        """Make a place; what happens from now on waits there."""
        subscription = Subscription(listener, self.chat_id)
        if self.order is not None:
            subscription.waits_since = self.order.rev
        self.subscriptions.add(subscription)
        return subscription

    def begin(self, rev: int) -> None:
        """Begin the order where the table says that the chat is; later words of it change nothing."""
        if self.order is not None:
            return
        self.order = Order(self.chat_id, rev)
        for subscription in self.subscriptions:
            subscription.waits_since = rev
        early, self._early = self._early, []
        for change in early:
            self.hear(change)

    def hear(self, change: Change) -> None:
        """Take a hint."""
        if change.rev == 0:
            self._pass(change)
        elif self.order is not None:
            self.give(self.order.take(change))
        elif len(self._early) < MOST_EARLY:
            self._early.append(change)

    def learn(self, last_rev: int) -> None:
        """Take the table's word for how far the chat has come."""
        if self.order is not None:
            self.order.known = max(self.order.known, last_rev)

    def give(self, changes: Iterable[Change | Gap]) -> None:
        """Tell everybody who is still in the chat."""
        for change in changes:
            if self.over:
                return
            if isinstance(change, Change) and change.kind is ChangeKind.ENDED:
                self.end()
            else:
                self._tell(change)

    def end(self) -> None:
        """End all of it: the chat is no more."""
        self.over = True
        for subscription in tuple(self.subscriptions):
            subscription.end(Reason.DELETED)

    def expel_who_came_back(self, rows: Iterable[Change]) -> None:
        """End the subscriptions of those who have joined while they listened: in between they had left."""
        came = {row.user_id: row.rev for row in rows if row.kind is ChangeKind.JOINED}
        for subscription in tuple(self.subscriptions):
            if subscription.listener.user_id in came:
                subscription.leaves(came[subscription.listener.user_id])

    def show(self, changed: Iterable[tuple[UserId, bool]]) -> None:
        """Tell who has come, and who has gone."""
        for user_id, online in changed:
            for subscription in self.subscriptions:
                if subscription.follows:
                    subscription.listener.show(self.chat_id, user_id, online=online)

    def _tell(self, change: Change | Gap) -> None:
        frame = told(change)
        gone = change.user_id if isinstance(change, Change) and change.kind is ChangeKind.LEFT else None
        for subscription in tuple(self.subscriptions):
            if gone == subscription.listener.user_id:
                subscription.leaves(frame.to_rev)
            subscription.take(frame)

    def _pass(self, change: Change) -> None:
        frame = told(change)
        for subscription in tuple(self.subscriptions):
            own = subscription.listener.user_id == change.user_id
            if not (own and change.kind is ChangeKind.TYPING):
                subscription.take(frame)
