"""Schedules from outside: an API process and two workers whose timers both look."""

from tests.fleet import Fleet, as_admin, signed_in
from tests.waiting import eventually

CARDS = {"name": "Cards", "cron": "* * * * *", "kind": "truth_or_dare", "payload": {"mode": "dare"}}


async def test_a_due_schedule_makes_one_task_which_runs_and_is_the_owners(fleet: Fleet) -> None:
    """Its moment is moved into the past, as if no worker had been there for an hour."""
    api, _, _ = await fleet.serve(), await fleet.worker(), await fleet.worker()
    async with signed_in(api.base) as me, signed_in(api.base) as stranger, fleet.database() as database:
        made = await me.post("/schedules", json=CARDS | {"timezone": "Europe/Berlin"})
        assert made.status_code == 201, made.text
        place = made.headers["location"].removeprefix("/api/v1")
        await database.execute("update schedules set next_run_at = next_run_at - interval '1 hour'")
        await eventually(lambda: database.fetchval("select last_task_id is not null from schedules"))
        schedule = (await me.get(place)).json()
        task = (await me.get(f"/tasks/{schedule['last_task_id']}", params={"wait": 20})).json()
        assert (task["status"], task["result"]["mode"]) == ("succeeded", "dare")
        assert task["requested_by"] == {"kind": "schedule", "id": schedule["id"]}
        assert task["schedule_id"] == schedule["id"]
        assert schedule["next_run_at"] >= made.json()["next_run_at"]
        missed = await database.fetchval(
            "select count(*) from tasks where run_at < now() - interval '30 min'"
        )
        assert missed == 1
        for path in (place, f"/tasks/{task['id']}"):
            assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get("/schedules")).json()["items"] == []


async def test_a_disabled_owners_schedule_is_disabled_when_it_comes_due(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me, as_admin(fleet, api.base) as admin, fleet.database() as database:
        place = (await me.post("/schedules", json=CARDS)).headers["location"].removeprefix("/api/v1")
        await database.execute(
            "update users set status = 'disabled' where id = (select owner_id from schedules)"
        )
        await database.execute("update schedules set next_run_at = next_run_at - interval '1 hour'")
        await eventually(lambda: database.fetchval("select not enabled from schedules"))
        schedule = (await admin.get(place)).json()
        assert (schedule["enabled"], schedule["next_run_at"], schedule["version"]) == (False, None, 2)
        assert await database.fetchval("select count(*) from tasks") == 0


async def test_what_one_has_read_is_changed_only_as_it_was(fleet: Fleet) -> None:
    api = await fleet.serve()
    async with signed_in(api.base) as me:
        first = await me.post("/schedules", json=CARDS, headers={"Idempotency-Key": "one"})
        again = await me.post("/schedules", json=CARDS, headers={"Idempotency-Key": "one"})
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        place, tag = first.headers["location"].removeprefix("/api/v1"), {"If-Match": first.headers["etag"]}
        read = await me.get(place)
        assert (read.json(), read.headers["etag"]) == (first.json(), '"1"')
        changed = await me.patch(place, json={"enabled": False}, headers=tag)
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        assert (await me.get(place)).json() == changed.json()
        assert (await me.delete(place, headers=tag)).json()["code"] == "version_mismatch"
        assert (await me.delete(place, headers={"If-Match": '"2"'})).status_code == 204
        assert (await me.get("/schedules")).json() == {"items": [], "next_cursor": None}
