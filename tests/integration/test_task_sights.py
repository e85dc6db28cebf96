"""Tasks as those who watch them see them: the same rows, to the same people, as for those who read them."""

import json

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.sights import SqlTaskSights
from parlor.adapters.sql.views import SqlTaskViews
from parlor.core.shared.actor import SYSTEM, Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.model import MANAGE, Failed, Progress, Requester, Succeeded, TaskError
from tests.builders import a_task, an_actor
from tests.sql import Sql

ADA, BOB, MANAGER = an_actor(), an_actor(), an_actor(MANAGE)
SERVICE = Actor(ActorKind.API_KEY, id=uuid7())


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def sights(database: Database) -> SqlTaskSights:
    return SqlTaskSights(database)


async def ordered_by(sql: Sql, actor: Actor) -> TaskId:
    (task_id,) = await sql.enqueue(a_task(requested_by=Requester.of(actor)))
    return task_id


@pytest.mark.parametrize(
    ("owner", "viewer"),
    [(ADA, ADA), (ADA, MANAGER), (SERVICE, SERVICE), (SERVICE, MANAGER)],
    ids=["own", "managed", "a service's own", "a managed service's"],
)
async def test_a_sight_is_what_reading_the_task_answers(
    sql: Sql, sights: SqlTaskSights, owner: Actor, viewer: Actor
) -> None:
    task_id = await ordered_by(sql, owner)
    sight = await sights.one(viewer, task_id)
    assert sight.json == await SqlTaskViews(sql.database).one(viewer, task_id)
    assert (sight.version, sight.ended) == (1, False)


@pytest.mark.parametrize(
    ("owner", "viewer"),
    [(ADA, BOB), (ADA, SERVICE), (SERVICE, ADA), (ADA, SYSTEM)],
    ids=["another's", "a person's", "a service's", "nobody's"],
)
async def test_what_one_may_not_see_is_not_found(
    sql: Sql, sights: SqlTaskSights, owner: Actor, viewer: Actor
) -> None:
    with pytest.raises(NotFound):
        await sights.one(viewer, await ordered_by(sql, owner))
    with pytest.raises(NotFound):
        await sights.one(viewer, TaskId(uuid7()))


async def test_every_move_is_another_version_and_the_last_one_is_known(
    sql: Sql, sights: SqlTaskSights
) -> None:
    good, bad = await ordered_by(sql, ADA), await ordered_by(sql, ADA)
    seen = [await sights.versions([good, bad])]
    attempts = {attempt.task_id: attempt for attempt in await sql.runs.claim([good, bad], [])}
    seen.append(await sights.versions([good, bad]))
    await sql.runs.report({one.task_id: (one.fence, Progress(1, 2)) for one in attempts.values()})
    seen.append(await sights.versions([good, bad]))
    error = TaskError("broken", "It broke.", retryable=False)
    await sql.runs.finish(
        [Succeeded(good, attempts[good].fence, "{}"), Failed(bad, attempts[bad].fence, error)]
    )
    seen.append(await sights.versions([good, bad]))
    assert [versions[good] for versions in seen] == sorted({versions[good] for versions in seen})
    for task_id in (good, bad):
        sight = await sights.one(ADA, task_id)
        assert (sight.ended, sight.version) == (True, seen[-1][task_id])
        assert json.loads(sight.json)["version"] == sight.version


async def test_what_is_gone_has_no_version(sql: Sql, sights: SqlTaskSights) -> None:
    task_id = await ordered_by(sql, ADA)
    assert await sights.versions({task_id, TaskId(uuid7())}) == {task_id: 1}
    assert await sights.versions(set()) == {}


async def test_a_sight_is_one_line_whatever_the_task_holds(sql: Sql, sights: SqlTaskSights) -> None:
    payload = {"text": "line\nfeed\r\u2028\u2029\u0085 end", "\n": "\r\n"}
    (task_id,) = await sql.enqueue(a_task(requested_by=Requester.of(ADA), payload=payload))
    sight = await sights.one(ADA, task_id)
    assert not {b"\n"[0], b"\r"[0]} & set(sight.json)
    assert json.loads(sight.json)["payload"] == payload
