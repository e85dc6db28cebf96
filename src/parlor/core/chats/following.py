"""Following a chat: what has changed since one left it, then what happens, without a hole and nothing twice."""

from dataclasses import dataclass

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.frames import Gap, Reason, caught_up, subscribed, told
from parlor.core.chats.live import PAGE, Live
from parlor.core.chats.model import person
from parlor.core.chats.reading import ChatLog
from parlor.core.chats.rooms import Listener, Room, Subscription
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId


@dataclass(frozen=True, slots=True)
class Following:
    """A subscription that somebody holds, until they or others end it."""

    live: Live
    room: Room
    subscription: Subscription

    @property
    def stands(self) -> bool:
        """Whether it goes on."""
        return self.subscription.ended is None

    def stop(self) -> None:
        """Leave the room, without a word."""
        if self.subscription.ended is None:
            self.subscription.ended = Reason.ASKED
        self.live.leave(self.room, self.subscription)


@dataclass(frozen=True, slots=True)
class Follow:
    """Whoever is in a chat follows it. Up to 500 changes are told one by one; more are a gap, to be read from /changes.

    Each changed message comes once, under its newest rev. Without `since_rev` it begins with what happens next.
    """

    live: Live
    log: ChatLog

    async def __call__(
        self, viewer: Actor, chat_id: ChatId, since_rev: int | None, listener: Listener
    ) -> Following:
        """Begin, and give what was missed; raises PersonNeeded, NotFound before anything is told."""
        person(viewer)
        following = Following(self.live, *self.live.enter(chat_id, listener))
        try:
            await self._catch_up(viewer, following, since_rev)
        except BaseException:
            following.stop()
            raise
        if not following.stands:
            following.stop()
        return following

    async def _catch_up(self, viewer: Actor, following: Following, since_rev: int | None) -> None:
        room, subscription = following.room, following.subscription
        standing = await self.log.standing(viewer, room.chat_id)
        room.begin(standing.last_rev)
        await subscription.listener.ready()
        subscription.listener.tell(subscribed(room.chat_id, standing))
        subscription.rev = standing.last_rev if since_rev is None else min(since_rev, standing.last_rev)
        subscription.seen_inside(standing.last_rev)
        if since_rev is not None:
            await self._replay(viewer, subscription)
        while following.stands and not self._joined(room, subscription, replayed=since_rev is not None):
            await self._replay(viewer, subscription)

    @staticmethod
    def _joined(room: Room, subscription: Subscription, *, replayed: bool) -> bool:
        assert room.order is not None
        told_up_to = subscription.rev
        if not subscription.can_join(room.order.rev):
            return False
        if replayed:
            subscription.listener.tell(caught_up(room.chat_id, told_up_to))
        subscription.join()
        for user_id in room.attendance.online:
            subscription.listener.show(room.chat_id, user_id, online=True)
        return True

    async def _replay(self, viewer: Actor, subscription: Subscription) -> None:
        """Give what the table has, in order, up to the listener's own departure."""
        chat_id, listener = subscription.chat_id, subscription.listener
        rows = await self.log.since(chat_id, subscription.rev, limit=PAGE + 1)
        if len(rows) > PAGE:
            try:
                standing = await self.log.standing(viewer, chat_id)
            except NotFound:
                subscription.end(Reason.REMOVED)
                return
            subscription.seen_inside(standing.last_rev)
            await self._give(subscription, Gap(chat_id, subscription.rev + 1, standing.last_rev))
            return
        for row in rows:
            if row.user_id == listener.user_id:
                subscription.leaves(row.rev)  # or was away in between; what the table saw before is no news
            await self._give(subscription, row)

    @staticmethod
    async def _give(subscription: Subscription, what: Change | Gap) -> None:
        await subscription.listener.ready()
        if subscription.ended is None and not (isinstance(what, Change) and what.kind is ChangeKind.ENDED):
            frame = told(what)
            subscription.rev = frame.to_rev
            subscription.listener.tell(frame)
