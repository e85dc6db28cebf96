"""Cancel, retry and batches from outside, on an API process and a worker."""

from tests.fakes.web import site
from tests.fleet import Fleet, as_admin, signed_in
from tests.waiting import eventually

LATER = "2027-01-01T00:00:00Z"
CARD = {"kind": "truth_or_dare", "payload": {}}


async def test_a_running_handler_is_stopped_and_can_run_again(fleet: Fleet) -> None:
    """The site that it calls never answers; it hears the connection end."""
    async with site(silent=True) as silent:
        fleet.settings |= {"PARLOR_HTTP_ALLOW": "127.0.0.0/8", "PARLOR_LEASE_S": "60"}
        api, _ = await fleet.serve(), await fleet.worker()
        async with as_admin(fleet, api.base) as admin:
            order = {"kind": "http_request", "payload": {"url": silent.url}}
            task = f"/tasks/{(await admin.post('/tasks', json=order)).json()['id']}"
            await eventually(lambda: silent.connections == 1)
            stopped = await admin.post(f"{task}/cancel")
            assert (stopped.status_code, stopped.json()["status"]) == (202, "cancelled")
            await silent.left.wait()
            again = await admin.post(f"{task}/cancel")
            assert (again.status_code, again.json()["code"]) == (409, "task_ended")
            retried = await admin.post(f"{task}/retry")
            assert (retried.status_code, retried.json()["status"]) == (202, "queued")
            await eventually(lambda: silent.connections == 2)
            running = (await admin.get(task)).json()
            assert (running["status"], running["attempts"], running["finished_at"]) == ("running", 1, None)


async def test_a_task_that_waits_is_cancelled_at_once_and_never_runs(fleet: Fleet) -> None:
    api = await fleet.serve()
    async with signed_in(api.base) as me, signed_in(api.base) as stranger:
        waiting = [(await me.post("/tasks", json=CARD | extra)).json() for extra in ({}, {"run_at": LATER})]
        assert [task["status"] for task in waiting] == ["queued", "scheduled"]
        for task in waiting:
            url = f"/tasks/{task['id']}"
            assert (await stranger.post(f"{url}/cancel")).status_code == 404
            assert (await stranger.post(f"{url}/retry")).status_code == 404
            assert (await me.post(f"{url}/retry")).json()["code"] == "task_not_failed"
            answer = await me.post(f"{url}/cancel")
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        await fleet.worker()
        done = (await me.post("/tasks", json=CARD)).json()
        await me.get(f"/tasks/{done['id']}", params={"wait": 20})
        items = (await me.get("/tasks")).json()["items"]
    assert [task["status"] for task in items] == ["succeeded", "cancelled", "cancelled"]
    assert [task["attempts"] for task in items] == [1, 0, 0]


async def test_a_task_with_secrets_does_not_run_again(fleet: Fleet) -> None:
    api = await fleet.serve()
    async with as_admin(fleet, api.base) as admin:
        payload = {"url": "http://example.org/", "headers": {"authorization": "secret"}}
        order = {"kind": "http_request", "payload": payload, "run_at": LATER}
        task = f"/tasks/{(await admin.post('/tasks', json=order)).json()['id']}"
        await admin.post(f"{task}/cancel")
        answer = await admin.post(f"{task}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "payload_dropped")


async def test_a_thousand_tasks_are_ordered_at_once_and_all_run(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        batch = {"tasks": [CARD] * 1000}
        answers = [
            await me.post("/tasks/batch", json=batch, headers={"Idempotency-Key": "once"}) for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [202, 202]
        ids = [[task["id"] for task in answer.json()["items"]] for answer in answers]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 1000
        assert answers[1].headers["Idempotent-Replayed"] == "true"
        async with fleet.database() as database:
            await eventually(
                lambda: database.fetchval("select count(*) = 1000 from tasks where status = 'succeeded'"),
                within=60,
            )


async def test_one_bad_order_refuses_its_batch(fleet: Fleet) -> None:
    api = await fleet.serve()
    async with signed_in(api.base) as me:
        bad = {"kind": "truth_or_dare", "payload": {"mode": "lie"}}
        answer = await me.post("/tasks/batch", json={"tasks": [CARD, CARD, bad]})
        assert answer.status_code == 422
        assert [flaw["pointer"] for flaw in answer.json()["errors"]] == ["/tasks/2/payload/mode"]
        forbidden = {"kind": "http_request", "payload": {"url": "http://example.org/"}}
        answer = await me.post("/tasks/batch", json={"tasks": [CARD, forbidden]})
        assert answer.status_code == 403
        assert (await me.get("/tasks")).json()["items"] == []
