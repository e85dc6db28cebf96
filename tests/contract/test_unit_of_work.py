"""The unit of work: all or nothing, once, with its reactions. One test body over memory and PostgreSQL."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from parlor.core.identity.events import UserRegistered
from parlor.core.shared.errors import IdempotencyKeyReused, NotFound
from parlor.core.shared.events import Event
from parlor.core.shared.ids import uuid7
from parlor.core.shared.tracing import within_trace
from parlor.core.shared.work import Earlier, OnceKey
from tests.builders import a_key, a_task, a_user
from tests.contract.backends import AnyWork, Backend

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Happened(Event):
    """Something, to an aggregate."""

    name: ClassVar[str] = "tests.happened"
    thing: UUID
    number: int

    @property
    def subject(self) -> UUID:
        return self.thing


@dataclass(frozen=True, slots=True)
class Followed(Event):
    """Something that follows from it."""

    name: ClassVar[str] = "tests.followed"
    thing: UUID
    number: int

    @property
    def subject(self) -> UUID:
        return self.thing


async def claim(backend: Backend, key: OnceKey, *, status: int = 202, ids: list[UUID]) -> Earlier | None:
    async with backend.work() as work:
        return await work.once(key, status=status, ids=ids)


# All or nothing


async def test_a_clean_exit_commits_all(backend: Backend) -> None:
    user, task = a_user(), a_task()
    async with backend.work() as work:
        await work.users.add(user)
        await work.tasks.add(task)
        work.publish(UserRegistered(user.id))
    async with backend.work() as work:
        assert (await work.users.get(user.id)).id == user.id
        assert (await work.tasks.get(task.id)).id == task.id
    assert [told.name for told in await backend.told()] == ["identity.user_registered"]


async def test_an_exception_leaves_no_trace(backend: Backend) -> None:
    user, task, key = a_user(), a_task(), a_key()
    followed: list[str] = []

    async def follow_up() -> None:
        followed.append("up")

    async def fail() -> None:
        async with backend.work() as work:
            await work.once(key, status=202, ids=[user.id])
            await work.users.add(user)
            await work.tasks.add(task)
            work.publish(UserRegistered(user.id))
            work.after_commit(follow_up)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with backend.work() as work:
        assert await work.users.find(user.id) is None
        with pytest.raises(NotFound):
            await work.tasks.get(task.id)
    assert (await backend.told(), followed) == ([], [])
    assert await claim(backend, key, ids=[]) is None


async def test_a_cancellation_leaves_no_trace(backend: Backend) -> None:
    user, inside = a_user(), asyncio.Event()

    async def add() -> None:
        async with backend.work() as work:
            await work.users.add(user)
            inside.set()
            await asyncio.Event().wait()

    adding = asyncio.create_task(add())
    await inside.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    async with backend.work() as work:
        assert await work.users.find(user.id) is None


async def test_a_work_that_does_nothing_ends_well(backend: Backend) -> None:
    async with backend.work():
        pass


async def test_nobody_sees_a_change_before_its_commit(backend: Backend) -> None:
    """Whoever looks meanwhile sees the store as it was, or waits until it is as it will be."""
    user = a_user()
    inside, go = asyncio.Event(), asyncio.Event()

    async def add() -> None:
        async with backend.work() as work:
            await work.users.add(user)
            inside.set()
            await go.wait()
            raise ZeroDivisionError

    async def look() -> bool:
        async with backend.work() as work:
            return await work.users.find(user.id) is not None

    adding = asyncio.create_task(add())
    await inside.wait()
    looking = asyncio.create_task(look())
    await asyncio.wait([looking], timeout=0.05)
    go.set()
    with pytest.raises(ZeroDivisionError):
        await adding
    assert not await looking


# Once


async def test_the_first_request_gets_its_key(backend: Backend) -> None:
    assert await claim(backend, a_key(), ids=[uuid4()]) is None


async def test_no_key_is_always_the_first(backend: Backend) -> None:
    for _ in range(2):
        async with backend.work() as work:
            assert await work.once(None, status=202, ids=[uuid4()]) is None
            await work.amend(None, status=200, ids=[])


async def test_a_repetition_is_answered_as_the_first(backend: Backend) -> None:
    ids = [uuid4(), uuid4()]
    await claim(backend, a_key(), status=201, ids=ids)
    for _ in range(2):
        assert await claim(backend, a_key(), status=202, ids=[uuid4()]) == Earlier(201, tuple(ids))


async def test_a_repetition_with_another_body_is_refused(backend: Backend) -> None:
    await claim(backend, a_key(), ids=[])
    with pytest.raises(IdempotencyKeyReused) as refused:
        await claim(backend, a_key(fingerprint=b"other"), ids=[])
    assert [flaw.pointer for flaw in refused.value.flaws] == ["header:Idempotency-Key"]


async def test_a_key_belongs_to_its_caller(backend: Backend) -> None:
    await claim(backend, a_key(), ids=[])
    assert await claim(backend, a_key(caller="user:2", fingerprint=b"other"), ids=[]) is None
    assert await claim(backend, a_key("another", fingerprint=b"other"), ids=[]) is None


async def test_an_error_frees_the_key(backend: Backend) -> None:
    async def fail() -> None:
        async with backend.work() as work:
            await work.once(a_key(), status=202, ids=[uuid4()])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await claim(backend, a_key(fingerprint=b"other"), ids=[]) is None


async def test_a_key_is_free_after_a_day(backend: Backend) -> None:
    first, second = uuid4(), uuid4()
    await claim(backend, a_key(), ids=[first])
    await backend.age_keys(DAY - timedelta(minutes=1))
    assert await claim(backend, a_key(), ids=[second]) == Earlier(202, (first,))
    await backend.age_keys(timedelta(minutes=1))
    assert await claim(backend, a_key(fingerprint=b"other"), ids=[second]) is None
    assert await claim(backend, a_key(fingerprint=b"other"), ids=[]) == Earlier(202, (second,))


async def test_an_answer_may_be_amended(backend: Backend) -> None:
    made, found = uuid4(), uuid4()
    async with backend.work() as work:
        await work.once(a_key(), status=202, ids=[made])
        await work.amend(a_key(), status=200, ids=[found])
    assert await claim(backend, a_key(), ids=[]) == Earlier(200, (found,))


async def test_twins_at_once_are_one(backend: Backend) -> None:
    """All but one wait for it, and are answered as it was."""
    ids = [uuid4() for _ in range(6)]

    async def request(own: UUID) -> Earlier | None:
        async with backend.work() as work:
            earlier = await work.once(a_key(), status=202, ids=[own])
            await work.users.find(a_user().id)
            return earlier

    answers = await asyncio.gather(*(request(own) for own in ids))
    (first,) = [own for own, answer in zip(ids, answers, strict=True) if answer is None]
    assert {answer for answer in answers if answer is not None} == {Earlier(202, (first,))}


async def test_a_twin_of_a_request_that_fails_takes_its_place(backend: Backend) -> None:
    waiting: list[asyncio.Task[Earlier | None]] = []

    async def fail() -> None:
        async with backend.work() as work:
            await work.once(a_key(), status=202, ids=[uuid4()])
            waiting.append(asyncio.create_task(claim(backend, a_key(), ids=[uuid4()])))
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await waiting[0] is None


# Events and reactions


async def test_an_aggregates_events_are_numbered(backend: Backend) -> None:
    one, other = uuid7(), uuid7()
    async with backend.work() as work:
        for event in (Happened(one, 1), Happened(other, 1), Happened(one, 2)):
            work.publish(event)
    async with backend.work() as work:
        work.publish(Happened(one, 3))
    told = [(fact.subject, fact.sequence, fact.body["number"]) for fact in await backend.told()]
    assert told == [(one, 1, 1), (other, 1, 1), (one, 2, 2), (one, 3, 3)]


async def test_an_event_belongs_to_the_trace_that_it_happened_in(backend: Backend) -> None:
    for trace in (TRACE, None):
        with within_trace(trace):
            async with backend.work() as work:
                work.publish(Happened(uuid7(), 1))
    assert [fact.traceparent for fact in await backend.told()] == [TRACE, None]


async def test_a_rolled_back_event_takes_no_number(backend: Backend) -> None:
    thing = uuid7()

    async def fail() -> None:
        async with backend.work() as work:
            work.publish(Happened(thing, 1))
            await work.users.find(a_user().id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with backend.work() as work:
        work.publish(Happened(thing, 2))
    assert [(fact.sequence, fact.body["number"]) for fact in await backend.told()] == [(1, 2)]


async def test_events_of_transactions_at_once_are_numbered_in_the_order_of_their_commits(
    backend: Backend,
) -> None:
    """Consecutive for each aggregate, and published in that order."""
    things = [uuid7() for _ in range(3)]

    async def publish(number: int) -> None:
        async with backend.work() as work:
            await work.users.add(a_user())
            for thing in things:
                work.publish(Happened(thing, number))

    await asyncio.gather(*(publish(number) for number in range(12)))
    told = await backend.told()
    for thing in things:
        assert [fact.sequence for fact in told if fact.subject == thing] == list(range(1, 13))
    orders = {tuple(fact.body["number"] for fact in told if fact.subject == thing) for thing in things}
    assert len(orders) == 1


async def test_an_event_is_told_with_its_fields(backend: Backend) -> None:
    user = a_user()
    async with backend.work() as work:
        work.publish(UserRegistered(user.id))
    (told,) = await backend.told()
    assert (told.name, told.subject, told.body) == (
        "identity.user_registered",
        user.id,
        {"user_id": str(user.id)},
    )


async def test_a_reaction_is_part_of_the_transaction(backend: Backend) -> None:
    """It gets the same work, and what it does is committed with the rest."""
    user, seen = a_user(), []

    async def add_user(event: Happened, work: AnyWork) -> None:
        seen.append(work)
        await work.users.add(user)
        work.publish(Followed(event.thing, event.number))

    backend.reactions[Happened] = [add_user]
    async with backend.work() as work:
        work.publish(Happened(uuid7(), 1))
        assert seen == []
    assert seen == [work]
    assert [(told.name, told.sequence) for told in await backend.told()] == [
        ("tests.happened", 1),
        ("tests.followed", 2),
    ]
    async with backend.work() as work:
        assert await work.users.find(user.id) is not None


async def test_a_task_added_by_a_reaction_is_stored(backend: Backend) -> None:
    task = a_task()

    async def enqueue(event: Happened, work: AnyWork) -> None:
        await work.tasks.add(task)

    backend.reactions[Happened] = [enqueue]
    async with backend.work() as work:
        work.publish(Happened(uuid7(), 1))
    async with backend.work() as work:
        assert (await work.tasks.get(task.id)).id == task.id


async def test_a_reaction_that_fails_undoes_the_transaction(backend: Backend) -> None:
    user = a_user()

    async def fail(event: Happened, work: AnyWork) -> None:
        raise ZeroDivisionError

    async def register() -> None:
        async with backend.work() as work:
            await work.users.add(user)
            work.publish(Happened(uuid7(), 1))

    backend.reactions[Happened] = [fail]
    with pytest.raises(ZeroDivisionError):
        await register()
    async with backend.work() as work:
        assert await work.users.find(user.id) is None
    assert await backend.told() == []


async def test_events_are_answered_first_in_first_out(backend: Backend) -> None:
    order: list[int] = []
    thing = uuid7()

    async def note(event: Happened, work: AnyWork) -> None:
        order.append(event.number)
        if event.number < 10:
            work.publish(Happened(thing, event.number * 10))

    backend.reactions[Happened] = [note]
    async with backend.work() as work:
        for number in (1, 2, 3):
            work.publish(Happened(thing, number))
    assert order == [1, 2, 3, 10, 20, 30]


@pytest.mark.parametrize(("depth", "good"), [(8, True), (9, False)])
async def test_reactions_may_answer_one_another_eight_times(backend: Backend, depth: int, good: bool) -> None:
    """More is a mistake in their wiring, and undoes everything."""
    thing = uuid7()

    async def answer(event: Happened, work: AnyWork) -> None:
        if event.number < depth:
            work.publish(Happened(thing, event.number + 1))

    async def begin() -> None:
        async with backend.work() as work:
            work.publish(Happened(thing, 0))

    backend.reactions[Happened] = [answer]
    if good:
        await begin()
        assert len(await backend.told()) == depth + 1
    else:
        with pytest.raises(RuntimeError):
            await begin()
        assert await backend.told() == []


# After the commit


async def test_what_follows_the_commit_sees_it(backend: Backend) -> None:
    user = a_user()
    seen: list[bool] = []

    async def look() -> None:
        async with backend.work() as work:
            seen.append(await work.users.find(user.id) is not None)

    async with backend.work() as work:
        work.after_commit(look)
        await work.users.add(user)
    assert seen == [True]


async def test_what_fails_after_the_commit_harms_nothing(backend: Backend) -> None:
    user = a_user()
    called: list[str] = []

    async def fail() -> None:
        called.append("first")
        raise ZeroDivisionError

    async def go_on() -> None:
        called.append("second")

    async with backend.work() as work:
        await work.users.add(user)
        work.after_commit(fail)
        work.after_commit(go_on)
    assert called == ["first", "second"]
    async with backend.work() as work:
        assert await work.users.find(user.id) is not None
