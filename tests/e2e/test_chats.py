"""Chats from outside: one chat, two processes, and many who write at once."""

import asyncio
from typing import Any

import httpx

from tests.fleet import Fleet, signed_in

WRITERS, EACH = 32, 3


async def everything_since(
    client: httpx.AsyncClient, chat: str, since: int
) -> tuple[list[dict[str, Any]], int]:
    """Catch up page by page."""
    found: list[dict[str, Any]] = []
    following: int | None = since
    last = since
    while following is not None:
        page = (await client.get(f"{chat}/changes", params={"since_rev": following, "limit": 40})).json()
        found += page["items"]
        following, last = page["next_rev"], page["last_rev"]
    return found, last


async def test_writers_on_two_processes_share_one_order_that_anybody_can_catch_up_with(fleet: Fleet) -> None:
    one, two = await asyncio.gather(fleet.serve(), fleet.serve())
    async with signed_in(one.base) as ada, signed_in(two.base) as bob:
        bobs = (await bob.get("/users/me")).json()["id"]
        made = await ada.post("/chats", json={"kind": "group", "title": "Fans", "member_ids": [bobs]})
        assert made.status_code == 201, made.text
        chat = f"/chats/{made.json()['id']}"

        async def write(number: int) -> list[dict[str, Any]]:
            client = (ada, bob)[number % 2]
            said: list[dict[str, Any]] = []
            for turn in range(EACH):
                body = {"text": f"{number}.{turn}", "client_id": f"{number}.{turn}"}
                answer = await client.post(f"{chat}/messages", json=body)
                assert answer.status_code == 201, answer.text
                said.append(answer.json())
            return said

        said = [m for messages in await asyncio.gather(*map(write, range(WRITERS))) for m in messages]
        total = WRITERS * EACH
        assert sorted(message["seq"] for message in said) == list(range(1, total + 1))
        assert all(message["rev"] == message["seq"] for message in said)

        places = {message["seq"]: f"{chat}/messages/{message['id']}" for message in said}
        authors = {message["seq"]: (ada, bob)[int(message["text"].split(".")[0]) % 2] for message in said}

        async def change(seq: int) -> None:
            match seq % 3:
                case 0:
                    answer = await authors[seq].patch(places[seq], json={"text": f"edited {seq}"})
                case 1:
                    answer = await authors[seq].delete(places[seq])
                case _:
                    answer = await bob.put(f"{places[seq]}/reactions/x")
            assert answer.status_code in {200, 204}, answer.text

        await asyncio.gather(*map(change, range(1, 31)))
        for client in (ada, bob):
            changed, last = await everything_since(client, chat, 0)
            assert last == total + 30
            assert [message["rev"] for message in changed] == list(range(31, last + 1))
            assert sorted(message["seq"] for message in changed) == list(range(1, total + 1))
            for since in (total - 1, total, total + 11, last):
                expected = [message for message in changed if message["rev"] > since]
                assert await everything_since(client, chat, since) == (expected, last)
        again = await bob.post(f"{chat}/messages", json={"text": "1.0", "client_id": "1.0"})
        assert again.status_code == 200
        assert (await ada.get(chat)).json()["last_seq"] == total
