"""Dead letters from outside: mended, replayed and discarded, over HTTP and by the command line."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pika

from tests.fleet import Fleet, as_admin, free_port
from tests.waiting import eventually

ORDER = json.dumps({"kind": "truth_or_dare", "payload": {}}).encode()


def publish(fleet: Fleet, body: bytes, *message_ids: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for message_id in message_ids:
            properties = pika.BasicProperties(message_id=message_id, content_type="application/json")
            channel.basic_publish(f"{fleet.namespace}.tasks", "low", body, properties, mandatory=True)


async def listed(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """Wait until there are so many."""
    found: list[dict[str, Any]] = []

    async def enough() -> bool:
        nonlocal found
        found = (await client.get("/dead-letters")).json()["items"]
        return len(found) == count

    await eventually(enough)
    return found


async def statuses(client: httpx.AsyncClient, ids: Sequence[str], what: str) -> list[int]:
    answers = await asyncio.gather(*(client.post(f"/dead-letters/{one}/{what}") for one in ids))
    return sorted(answer.status_code for answer in answers)


async def test_once_its_cause_is_mended_a_message_is_replayed_and_runs_once(fleet: Fleet) -> None:
    """However many ask for it at the same time; what is still refused is a dead letter of its own."""
    message_id = str(uuid4())
    fleet.settings["PARLOR_PRODUCER_KINDS"] = "http_request"
    api, worker = await fleet.serve(), await fleet.worker()
    async with as_admin(fleet, api.base) as admin, fleet.database() as database:
        await asyncio.to_thread(publish, fleet, ORDER, message_id)
        (letter,) = await listed(admin, 1)
        assert letter["reason"] == "forbidden_kind"
        assert await statuses(admin, [letter["id"]] * 5, "replay") == [202, 409, 409, 409, 409]
        again, before = await listed(admin, 2)
        assert (again["reason"], again["message_id"], again["replayed_at"]) == (
            "forbidden_kind",
            message_id,
            None,
        )
        assert before["replayed_at"] is not None
        del fleet.settings["PARLOR_PRODUCER_KINDS"]
        await worker.stop()
        await fleet.worker()
        accepted = await admin.post(f"/dead-letters/{again['id']}/replay")
        assert (accepted.status_code, accepted.json()["id"]) == (202, again["id"])
        assert accepted.json()["replayed_at"] is not None
        await eventually(
            lambda: database.fetchval("select count(*) = 1 from tasks where status = 'succeeded'")
        )
        task = (await admin.get(f"/tasks/{message_id}")).json()
        assert (task["status"], task["attempts"]) == ("succeeded", 1)
        assert await database.fetchval("select count(*) from replay_outbox") == 0
        assert (await admin.delete(f"/dead-letters/{letter['id']}")).status_code == 204
        assert (await admin.get(f"/dead-letters/{letter['id']}")).status_code == 404
        assert len((await admin.get("/dead-letters")).json()["items"]) == 1


async def test_a_replay_waits_for_the_broker_and_survives_a_killed_relay(fleet: Fleet) -> None:
    """And its letter may be discarded meanwhile."""
    message_id = str(uuid4())
    fleet.settings["PARLOR_PRODUCER_KINDS"] = "http_request"
    api, worker = await fleet.serve(), await fleet.worker()
    async with as_admin(fleet, api.base) as admin:
        await asyncio.to_thread(publish, fleet, ORDER, message_id)
        (letter,) = await listed(admin, 1)
        worker.kill()
        assert (await admin.post(f"/dead-letters/{letter['id']}/replay")).status_code == 202
        assert (await admin.delete(f"/dead-letters/{letter['id']}")).status_code == 204
        del fleet.settings["PARLOR_PRODUCER_KINDS"]
        await fleet.worker()

        async def has_run() -> bool:
            answer = await admin.get(f"/tasks/{message_id}")
            return bool(answer.status_code == 200 and answer.json()["status"] == "succeeded")

        await eventually(has_run)


async def test_a_message_that_the_broker_never_takes_is_put_aside_and_blocks_no_other(fleet: Fleet) -> None:
    """As if a producer's broker had allowed what ours does not."""
    fleet.settings["PARLOR_PRODUCER_KINDS"] = "http_request"
    api, worker = await fleet.serve(), await fleet.worker()
    ids = [str(uuid4()) for _ in range(3)]
    async with as_admin(fleet, api.base) as admin, fleet.database() as database:
        await asyncio.to_thread(publish, fleet, ORDER, *ids)
        letters = await listed(admin, 3)
        del fleet.settings["PARLOR_PRODUCER_KINDS"]
        await worker.stop()
        bad = next(letter for letter in letters if letter["message_id"] == ids[1])
        await database.execute(
            "update dead_letters set properties = $2 where id = $1::uuid",
            bad["id"],
            b"\x01\x00\x04soon",  # an expiration that is no number
        )
        await fleet.worker()
        oldest_first = [letter["id"] for letter in reversed(letters)]
        assert await statuses(admin, oldest_first, "replay") == [202] * 3
        await eventually(lambda: database.fetchval("select count(*) = 1 from outbox_failed"), within=60)
        await eventually(
            lambda: database.fetchval("select count(*) = 2 from tasks where status = 'succeeded'")
        )
        assert await database.fetchval("select count(*) from replay_outbox") == 0
        accepted = await admin.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})
        task = await admin.get(f"/tasks/{accepted.json()['id']}", params={"wait": 20})
        assert task.json()["status"] == "succeeded"


async def test_the_command_line_needs_the_database_only(fleet: Fleet) -> None:
    """A worker sends what is replayed whenever it runs."""
    worker = await fleet.worker()
    message_id = str(uuid4())
    async with fleet.database() as database:
        await asyncio.to_thread(publish, fleet, b"{", message_id)
        await eventually(lambda: database.fetchval("select count(*) = 1 from dead_letters"))
        await worker.stop()
        (letter_id,) = await database.fetchrow("select id::text from dead_letters")
        fleet.redis_url = fleet.rabbitmq_url = ""
        listed = await asyncio.to_thread(fleet.run, "dead-letters", "list", "--reason", "not_json")
        assert listed.stdout.split()[0::2] == [letter_id, "not_json", message_id]
        replayed = await asyncio.to_thread(fleet.run, "dead-letters", "replay", letter_id)
        assert (replayed.returncode, replayed.stdout) == (0, f"{letter_id} replayed\n")
        assert await database.fetchval("select count(*) from replay_outbox") == 1
        unclear = await asyncio.to_thread(fleet.run, "dead-letters", "discard")
        assert unclear.returncode == 1
        assert unclear.stderr.endswith("parlor: say which: ids, or --all, or --reason\n")
        discarded = await asyncio.to_thread(fleet.run, "dead-letters", "discard", "--all")
        assert (discarded.returncode, discarded.stdout) == (0, f"{letter_id} discarded\n")
        assert await database.fetchval("select count(*) from dead_letters") == 0


async def test_everything_in_one_process_replays_what_a_broker_once_brought(fleet: Fleet) -> None:
    """On a database that has been used with RabbitMQ; what is refused there is a dead letter too."""
    port = free_port()
    await fleet.start(port, "up", "--port", str(port))
    good, bad = str(uuid4()), str(uuid4())
    added = json.dumps({"x-parlor-reason": "forbidden_kind", "x-parlor-row": 1})
    async with fleet.database() as database:
        for message_id, body in ((good, ORDER), (bad, b"{")):
            await database.execute(
                """insert into dead_letters (id, reason, detail, message_id, headers, body, is_text)
                   values (gen_random_uuid(), 'forbidden_kind', '', $1, $2, $3, true)""",
                message_id,
                added,
                body,
            )
        done = await asyncio.to_thread(fleet.run, "dead-letters", "replay", "--all")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
        await eventually(
            lambda: database.fetchval("select count(*) = 1 from tasks where status = 'succeeded'")
        )
        await eventually(lambda: database.fetchval("select count(*) = 0 from replay_outbox"))
        (again,) = await database.fetch("select * from dead_letters where replayed_at is null")
    assert (again["reason"], again["message_id"], again["headers"]) == ("not_json", bad, "{}")
