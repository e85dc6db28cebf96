"""Watching a task over HTTP: a real server and PostgreSQL, with connections that break."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from parlor.adapters.sql.engine import Database
from parlor.core.identity.hints import CHANNEL, naming_users
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.tasks import watching
from parlor.core.tasks.model import Attempt, Failed, Progress, Requester, Succeeded, TaskError
from parlor.core.tasks.watching import tell_moved
from parlor.entrypoints.http import streams
from tests.builders import a_task
from tests.fleet import signed_in
from tests.serving import Api, an_api
from tests.sql import Sql
from tests.sse import COMMENT, Block, blocks, events
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Ada:
    """Somebody who watches her tasks, and what happens to these."""

    client: httpx.AsyncClient
    user_id: UserId
    sql: Sql
    feed: Feed

    async def task(self, **fields: object) -> TaskId:
        requester = Requester(ActorKind.USER, self.user_id, self.user_id)
        (task_id,) = await self.sql.enqueue(a_task(requested_by=requester, **fields))
        return task_id

    async def running(self, **fields: object) -> Attempt:
        (attempt,) = await self.sql.runs.claim([await self.task(**fields)], [])
        return attempt

    async def report(self, attempt: Attempt, current: int, *, hint: bool = True) -> None:
        await self.sql.runs.report({attempt.task_id: (attempt.fence, Progress(current, 10, "on the way"))})
        if hint:
            await tell_moved(self.feed, [attempt.task_id])

    async def succeed(self, attempt: Attempt) -> None:
        await self.sql.runs.finish(
            [Succeeded(attempt.task_id, attempt.fence, '{"line": "one\\ntwo\\u2028"}')]
        )

    def watch(self, task_id: TaskId, **sent: str) -> AbstractAsyncContextManager[httpx.Response]:
        header = {"Last-Event-ID": sent.pop("seen")} if "seen" in sent else {}
        return self.client.stream("GET", f"/tasks/{task_id}/events", params=sent, headers=header)

    async def watched(self, task_id: TaskId, **sent: str) -> list[Block]:
        async with self.watch(task_id, **sent) as answer:
            return [event async for event in events(answer)]


@pytest.fixture
async def api(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Serve without a poll and without beats: what arrives came by a hint. Tests that need them ask for them."""
    monkeypatch.setattr(watching, "POLL_S", 3600)
    monkeypatch.setattr(streams, "BEAT_S", 3600)
    async with an_api(database_url, PARLOR_DRAIN_S="3600") as api:
        yield api


@pytest.fixture
async def ada(api: Api, database: Database) -> AsyncIterator[Ada]:
    async with signed_in(api.base) as client:
        user_id = UserId(UUID((await client.get("/users/me")).json()["id"]))
        yield Ada(client, user_id, Sql(database), api.container.get(Feed))


async def test_a_task_is_told_as_it_is_and_then_each_change_until_it_has_ended(ada: Ada) -> None:
    task_id = await ada.task()
    async with ada.watch(task_id) as answer:
        told = events(answer)
        assert (await anext(told)).task["status"] == "queued"
        (attempt,) = await ada.sql.runs.claim([task_id], [])
        await tell_moved(ada.feed, [task_id])
        assert (await anext(told)).task["status"] == "running"
        await ada.report(attempt, 3)
        assert (await anext(told)).task["progress"] == {"current": 3, "total": 10, "message": "on the way"}
        await ada.succeed(attempt)
        await tell_moved(ada.feed, [task_id])
        last = await anext(told)
        assert last.task["status"] == "succeeded"
        assert [event async for event in told] == []


async def test_the_answer_is_a_stream_that_nobody_between_keeps(ada: Ada) -> None:
    async with ada.watch(await ada.task()) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
        assert await anext(blocks(answer)) == Block(retry=streams.RETRY_MS)


async def test_an_event_is_what_reading_the_task_answers_under_its_version(ada: Ada) -> None:
    attempt = await ada.running(payload={"text": "line\nfeed\r\u2028 \u0085"})
    await ada.succeed(attempt)
    (event,) = await ada.watched(attempt.task_id)
    one = await ada.client.get(f"/tasks/{attempt.task_id}")
    assert (event.event, event.data) == ("task", one.content)
    assert one.headers["etag"] == f'"{event.id}"'


async def test_without_any_hint_a_change_is_found(ada: Ada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    attempt = await ada.running()
    async with ada.watch(attempt.task_id) as answer:
        told = events(answer)
        await anext(told)
        await ada.report(attempt, 1, hint=False)
        assert (await anext(told)).task["progress"]["current"] == 1


async def test_what_was_seen_is_not_told_again(ada: Ada) -> None:
    attempt = await ada.running()
    version = (await ada.client.get(f"/tasks/{attempt.task_id}")).json()["version"]
    async with ada.watch(attempt.task_id, seen=str(version)) as answer:
        told = blocks(answer)
        assert (await anext(told)).retry is not None
        await ada.report(attempt, 1)
        assert (await anext(told)).id == version + 1
    async with ada.watch(attempt.task_id, last_event_id=str(version)) as answer:
        assert (await anext(events(answer))).id == version + 1


async def test_who_saw_the_end_is_told_not_to_come_back(ada: Ada) -> None:
    """What makes an EventSource stop: anything but 200, and this is no error."""
    attempt = await ada.running()
    await ada.succeed(attempt)
    (last,) = await ada.watched(attempt.task_id)
    for sent in ({"seen": str(last.id)}, {"last_event_id": str(last.id)}, {"seen": "9999999999"}):
        async with ada.watch(attempt.task_id, **sent) as answer:
            assert (answer.status_code, await answer.aread()) == (204, b"")
    assert [event.id for event in await ada.watched(attempt.task_id, seen=str(last.id - 1))] == [last.id]


async def test_a_task_that_is_tried_again_after_its_end_is_watched_anew(ada: Ada) -> None:
    attempt = await ada.running()
    error = TaskError("broken", "It broke.", retryable=False)
    await ada.sql.runs.finish([Failed(attempt.task_id, attempt.fence, error)])
    (failed,) = await ada.watched(attempt.task_id)
    await ada.sql.execute(
        "update tasks set status = 'queued', finished_at = null, version = version + 1 where id = $1",
        attempt.task_id,
    )
    async with ada.watch(attempt.task_id, seen=str(failed.id)) as answer:
        assert (await anext(events(answer))).task["status"] == "queued"


async def test_a_browser_that_reconnects_repeats_its_address_and_its_header_counts(ada: Ada) -> None:
    attempt = await ada.running()
    await ada.succeed(attempt)
    (last,) = await ada.watched(attempt.task_id, last_event_id="1")
    async with ada.watch(attempt.task_id, last_event_id="1", seen=str(last.id)) as answer:
        assert answer.status_code == 204


async def test_a_version_that_is_not_yet_there_hides_nothing_that_comes(ada: Ada) -> None:
    attempt = await ada.running()
    async with ada.watch(attempt.task_id, seen="1000000") as answer:
        told = events(answer)
        opened = asyncio.ensure_future(anext(told))
        await eventually(lambda: _hinted(ada, attempt, opened))
        assert opened.result().task["progress"]["current"] == 7


async def _hinted(ada: Ada, attempt: Attempt, opened: asyncio.Future[Block]) -> bool:
    await ada.report(attempt, 7)
    return opened.done()


async def test_what_one_may_not_see_is_not_found_like_what_is_not_there(ada: Ada, api: Api) -> None:
    task_id = await ada.task()
    async with signed_in(api.base) as bob:
        answers = [await bob.get(f"/tasks/{one}/events") for one in (task_id, a_task().id)]
        for answer in answers:
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"
    foreign, absent = ({k: v for k, v in a.json().items() if k != "request_id"} for a in answers)
    assert foreign == absent


async def test_a_quiet_stream_speaks_from_time_to_time(ada: Ada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.01)
    async with ada.watch(await ada.task()) as answer:
        told = blocks(answer)
        assert [(await anext(told)) for _ in range(2)][1].event == "task"
        assert [await anext(told) for _ in range(3)] == [COMMENT] * 3


@pytest.mark.parametrize("seed", range(3))
async def test_however_often_the_connection_breaks_every_version_rises_and_the_end_is_seen(
    ada: Ada, seed: int
) -> None:
    chance = random.Random(seed)
    attempt = await ada.running()
    moving = asyncio.create_task(_moves(ada, attempt, chance.randrange(20, 60)))
    seen: list[Block] = []
    connections = 0
    while not seen or seen[-1].task["status"] != "succeeded":
        connections += 1
        last = {"seen": str(seen[-1].id)} if seen else {}
        async with ada.watch(attempt.task_id, **last) as answer, aclosing(events(answer)) as told:
            for _ in range(chance.randrange(1, 4)):
                with suppress(StopAsyncIteration):
                    seen.append(await anext(told))
    await moving
    versions = [event.id for event in seen]
    assert versions == sorted(set(versions))
    assert [event.task["version"] for event in seen] == versions
    assert seen[-1].data == (await ada.client.get(f"/tasks/{attempt.task_id}")).content
    assert connections > 1


async def _moves(ada: Ada, attempt: Attempt, steps: int) -> None:
    for step in range(steps):
        await ada.report(attempt, step)
    await ada.succeed(attempt)
    await tell_moved(ada.feed, [attempt.task_id])


async def test_who_logs_out_is_told_nothing_more(ada: Ada, api: Api) -> None:
    async with ada.watch(await ada.task()) as answer:
        told = events(answer)
        await anext(told)
        assert (await ada.client.post("/auth/logout")).status_code == 204
        assert [event async for event in told] == []


async def test_a_role_that_is_lost_ends_what_it_let_one_see(ada: Ada, api: Api) -> None:
    await ada.sql.execute("insert into user_roles (user_id, role) values ($1, 'admin')", ada.user_id)
    foreign = await ada.sql.enqueue(a_task())
    async with signed_in(api.base) as other:
        assert (await other.get(f"/tasks/{foreign[0]}/events")).status_code == 404
    await eventually(lambda: _sees(ada, foreign[0]))
    async with ada.watch(foreign[0]) as answer:
        told = events(answer)
        await anext(told)
        await ada.sql.execute("delete from user_roles where user_id = $1 and role = 'admin'", ada.user_id)
        await ada.client.post("/auth/logout", params={"scope": "others"})
        rest = asyncio.create_task(_rest(told))
        await eventually(lambda: _ended(ada, rest))
        assert await rest == []
    assert (await ada.client.get(f"/tasks/{foreign[0]}/events")).status_code == 404


async def _sees(ada: Ada, task_id: TaskId) -> bool:
    return (await ada.client.get(f"/tasks/{task_id}")).status_code == 200


async def _rest(told: AsyncIterator[Block]) -> list[Block]:
    return [event async for event in told]


async def _ended(ada: Ada, rest: asyncio.Task[list[Block]]) -> bool:
    """Hint again and again: a cache may have kept the roles of a moment ago."""
    await ada.feed.publish(CHANNEL, naming_users([ada.user_id]))
    return rest.done()


async def test_a_server_that_ends_ends_its_streams_and_waits_for_nobody(ada: Ada, api: Api) -> None:
    async with ada.watch(await ada.task()) as answer:
        told = events(answer)
        await anext(told)
        await api.stop()
        assert [event async for event in told] == []


async def test_beyond_the_bound_one_is_told_to_come_back_until_somebody_leaves(
    ada: Ada, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 1)
    task_id = await ada.task()
    async with ada.watch(task_id) as answer:
        await anext(events(answer))
        refused = await ada.client.get(f"/tasks/{task_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0
    await eventually(lambda: _can_watch(ada, task_id))


async def test_one_caller_does_not_take_all_places(
    ada: Ada, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_OF_ONE", 1)
    task_id = await ada.task()
    async with ada.watch(task_id) as answer:
        await anext(events(answer))
        refused = await ada.client.get(f"/tasks/{task_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        async with signed_in(api.base) as bob:
            assert (await bob.get(f"/tasks/{task_id}/events")).status_code == 404
    await eventually(lambda: _can_watch(ada, task_id))


async def _can_watch(ada: Ada, task_id: TaskId) -> bool:
    async with ada.watch(task_id) as answer:
        return answer.status_code == 200


async def test_a_reader_that_takes_nothing_loses_its_connection_and_its_place(
    ada: Ada, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a byte of it being read: what was written for it must not stay in memory."""
    monkeypatch.setattr(streams, "MOST", 1)
    monkeypatch.setattr(streams, "STUCK_S", 0.1)
    monkeypatch.setattr(streams, "FAREWELL_S", 0.1)
    attempt = await ada.running(payload={"text": "x" * 500_000})
    address = (ada.client.base_url.host, ada.client.base_url.port or 0)
    reader, writer = await asyncio.open_connection(*address, limit=1)
    writer.write(
        f"GET /api/v1/tasks/{attempt.task_id}/events HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {ada.client.headers['Authorization']}\r\n\r\n".encode()
    )
    assert await reader.readexactly(12) == b"HTTP/1.1 200"
    await eventually(lambda: _freed(ada, attempt))
    ours = writer.get_extra_info("sockname")
    await eventually(
        lambda: ours not in [getattr(one, "client", None) for one in api.server.server_state.connections]
    )
    writer.close()


async def _freed(ada: Ada, attempt: Attempt) -> bool:
    await ada.report(attempt, 1)
    return await _can_watch(ada, attempt.task_id)
