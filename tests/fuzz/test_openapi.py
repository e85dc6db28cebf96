"""Schemathesis over the whole document, against processes that run: what is published is what is answered."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fleet import PASSWORD, Fleet, Process, signed_in
from tests.fuzz.budget import Budget

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
BUDGET = Budget.of(1)
ALWAYS = {"admin": "examples,coverage", "user": "examples"}
AT_LENGTH = ("--phases", "examples,coverage,fuzzing,stateful", "-n", str(BUDGET.examples))
# A session that the tests have ended themselves is followed by another one.
SETTINGS = """
[auth.dynamic.openapi.bearer]
path = "/api/v1/auth/login"
payload = {{ email = "{email}", password = "{password}" }}
extract_selector = "/access_token"
"""
# What is well-formed may still be refused: a document cannot say that a cursor must be one of ours.
LEFT_OUT = ("--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", "/events$")


async def test_every_answer_is_one_that_the_document_tells_of(fleet: Fleet) -> None:
    """No 5xx; no status, type, header or shape that is not documented; nothing taken that it refuses."""
    api, _ = await asyncio.gather(fleet.serve(), fleet.worker())  # so that tasks come to an end
    emails = {role: f"{role}@example.com" for role in ALWAYS}
    command = ("users", "create-admin", "--email", emails["admin"], "--password-stdin")
    await asyncio.to_thread(fleet.run, *command, stdin=f"{PASSWORD}\n")
    async with signed_in(api.base, emails["user"]):
        for role, phases in ALWAYS.items():
            short = ("--phases", phases, "--generation-deterministic")
            code, said = await explored(fleet, api, emails[role], short if BUDGET.derandomized else AT_LENGTH)
            assert code == 0, said


async def explored(fleet: Fleet, api: Process, email: str, how: Sequence[str]) -> tuple[int, str]:
    """Run the program; answers its exit code and what it said."""
    settings = fleet.folder / f"{email}.toml"
    settings.write_text(SETTINGS.format(email=email, password=PASSWORD))
    command = (
        "--config-file",
        str(settings),
        "run",
        f"{api.base}/openapi.json",
        "--no-color",
        *how,
        *LEFT_OUT,
    )
    child = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        *command,
        cwd=fleet.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, said.decode()
