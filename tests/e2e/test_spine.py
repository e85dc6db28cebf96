"""The main job from outside: register, log in, enqueue over REST and over RabbitMQ, run elsewhere, read back."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

import pika

from tests.fleet import Fleet, as_admin, signed_in
from tests.waiting import eventually

GOOD = json.dumps({"kind": "truth_or_dare", "payload": {"language": "de"}}).encode()
TOO_LARGE = json.dumps({"kind": "truth_or_dare", "payload": {"language": "a" * 1_100_000}}).encode()

Message = tuple[bytes, dict[str, Any]]


def malformed() -> dict[str, Message]:
    """One message for each way of being wrong, by what the dead letter must say."""
    other = json.dumps({"kind": "truth_or_dare", "payload": {}, "id": str(uuid4())}).encode()
    return {
        "not_json": (b"{", {}),
        "not_json (bytes)": (b"\xff\xfe", {}),
        "not_json (type)": (GOOD, {"content_type": "text/plain"}),
        "missing_id": (GOOD, {"message_id": None}),
        "invalid_message (id)": (GOOD, {"message_id": "nope"}),
        "invalid_message": (b'{"kind": "truth_or_dare", "payload": {}, "more": 1}', {}),
        "unknown_kind": (b'{"kind": "films", "payload": {}}', {}),
        "invalid_payload": (b'{"kind": "truth_or_dare", "payload": {"mode": "lie"}}', {}),
        "id_mismatch": (other, {}),
        "too_large": (TOO_LARGE, {}),
    }


def publish(fleet: Fleet, messages: Sequence[Message]) -> None:
    """Send with a client that Parlor does not use, confirmed one by one."""
    with closing(pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number, (body, properties) in enumerate(messages):
            given = {"content_type": "application/json", "message_id": str(uuid4()), **properties}
            channel.basic_publish(
                f"{fleet.namespace}.tasks",
                ("high", "default", "low")[number % 3],
                body,
                pika.BasicProperties(delivery_mode=2, **given),
                mandatory=True,
            )


async def test_a_person_has_a_card_drawn_by_another_process(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        accepted = await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {"mode": "dare"}})
        assert accepted.status_code == 202, accepted.text
        task = (
            await me.get(accepted.headers["Location"].removeprefix("/api/v1"), params={"wait": 20})
        ).json()
    assert task["status"] == "succeeded"
    assert task["result"]["mode"] == "dare"
    assert task["attempts"] == 1


async def test_990_of_1000_foreign_messages_run_once_and_10_stand_as_dead_letters(fleet: Fleet) -> None:
    ids = [str(uuid4()) for _ in range(990)]
    good: list[Message] = [(GOOD, {"message_id": one}) for one in ids]
    wrong = malformed()
    api, _, _ = await fleet.serve(), await fleet.serve(), await fleet.worker()
    await asyncio.to_thread(publish, fleet, [*good, *good[:10], *wrong.values()])
    async with as_admin(fleet, api.base) as admin, fleet.database() as database:
        await eventually(
            lambda: database.fetchval("select count(*) = 990 from tasks where status = 'succeeded'"),
            within=60,
        )
        await eventually(lambda: database.fetchval("select count(*) = 10 from dead_letters"), within=60)
        letters = (await admin.get("/dead-letters")).json()["items"]
        one = (await admin.get(f"/tasks/{ids[0]}")).json()
        states = await database.fetch("select status, attempts, count(*) from tasks group by 1, 2")
    assert [tuple(row) for row in states] == [("succeeded", 1, 990)]
    assert Counter(letter["reason"] for letter in letters) == Counter(name.split()[0] for name in wrong)
    assert one["requested_by"] == {"kind": "producer", "id": None}


async def test_what_one_api_process_answers_the_other_knows_at_once(fleet: Fleet) -> None:
    one, other = await fleet.serve(), await fleet.serve()
    async with signed_in(one.base) as me:
        elsewhere = f"{other.base}/api/v1/users/me"
        assert (await me.get(elsewhere)).status_code == 200
        assert (await me.post("/auth/logout")).status_code == 204
        assert (await me.get("/users/me")).status_code == 401
        await eventually(lambda: _is_refused(me, elsewhere))


async def _is_refused(client: Any, url: str) -> bool:
    return bool((await client.get(url)).status_code == 401)


async def test_enqueueing_works_with_the_broker_away_and_runs_when_it_is_back(fleet: Fleet) -> None:
    """The API needs only the database: the outbox keeps what the broker cannot take."""
    broker = fleet.rabbitmq_url
    fleet.rabbitmq_url = "amqp://guest:guest@127.0.0.1:1/"
    api = await fleet.serve()
    async with signed_in(api.base) as me:
        ready = await me.get(f"{api.base}/readyz")
        assert ready.json()["status"] == "degraded"
        accepted = await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})
        assert accepted.status_code == 202
        fleet.rabbitmq_url = broker
        await fleet.worker()
        task = (await me.get(f"/tasks/{accepted.json()['id']}", params={"wait": 20})).json()
    assert task["status"] == "succeeded"
