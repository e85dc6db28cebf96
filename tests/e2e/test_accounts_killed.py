"""Whatever an account was answered is done, though the process that answered was killed right after it."""

from pathlib import Path

from tests.fleet import PASSWORD, Fleet, signed_in
from tests.waiting import eventually

LATER = {"kind": "truth_or_dare", "payload": {}, "run_at": "2029-01-01T00:00:00Z"}


async def test_mail_is_sent_and_farewells_are_said_though_the_api_was_killed(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.settings["PARLOR_MAIL_DIR"] = str(tmp_path / "mail")
    api = await fleet.serve()
    async with signed_in(api.base) as me, signed_in(api.base) as leaving:
        address = (await me.get("/users/me")).json()["email"]
        await leaving.post("/tasks", json=LATER)
        reset = await me.post("/auth/password-reset", json={"email": address})
        gone = await leaving.request("DELETE", "/users/me", json={"password": PASSWORD})
        assert (reset.status_code, gone.status_code) == (202, 204)
        api.kill()
    assert not (tmp_path / "mail").exists(), "an API process sends none itself"
    worker = await fleet.worker()
    await eventually(lambda: list((tmp_path / "mail").glob("*.eml")))
    (mail,) = (tmp_path / "mail").glob("*.eml")
    assert f"To: {address}" in mail.read_text()
    token = mail.read_text().split("\n\n")[4].strip()
    async with fleet.database() as database:

        async def cancelled() -> bool:
            return bool(
                await database.fetchval(
                    "select status = 'cancelled' from tasks where kind = $1", LATER["kind"]
                )
            )

        await eventually(cancelled)
    assert len(token) == 43
    assert token not in worker.log.read_text() + api.log.read_text()
