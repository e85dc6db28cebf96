"""What docs/extend.md shows an author: put in place, as it says, in a copy of the repository, and run from there."""

import asyncio
import gc
import importlib
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from parlor.adapters.payloads import PydanticPayloads
from parlor.adapters.sql.engine import Database
from parlor.adapters.threads import DaemonThreads
from parlor.container import make_container
from parlor.core.identity.events import UserRegistered
from parlor.core.shared.events import Event
from parlor.core.shared.work import Work
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import Attempt, Succeeded
from parlor.core.tasks.ports import AnyHandler
from parlor.core.tasks.running import RunAttempt
from parlor.entrypoints.consume_worker.context import LeaseLost, RunContext
from parlor.wiring.modes import Mode
from tests.architecture.documents import blocks
from tests.architecture.source import ROOT
from tests.builders import a_task, a_user, an_attempt
from tests.e2e.listings import Listing, a_copy, lines_of_code, listings, run
from tests.fakes.container import settings_for_tests
from tests.fakes.handling import FakeContext
from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers.session import shared_url
from tests.sql import Sql
from tests.waiting import eventually

PAGE = ROOT / "docs/extend.md"
CONTAINER = "src/parlor/container.py"
UNIT_TEST = "tests/unit/games/test_postcards.py"
MOST_LINES = 40
LIST_KINDS = """
from parlor.config import Settings
from parlor.container import make_container
from parlor.wiring.modes import Mode
from parlor.core.tasks.kinds import Kinds

settings = Settings(DATABASE_URL="postgresql://nowhere/at_all")
print(*sorted(make_container(settings, mode=Mode.EMBEDDED).get(Kinds).offered))
"""
CARD = {"text": "Sing.", "address": "1 High Street"}
LISTINGS = listings(PAGE)
WHOLE = {one.path for one in LISTINGS if one.language == "python"}
EXTENDED = {one.path for one in LISTINGS if one.path.startswith("src/parlor/core/")} - WHOLE
PATHS = sorted({one.path for one in LISTINGS if one.path.endswith(".py")})


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the page to its end."""
    return a_copy(tmp_path_factory.mktemp("followed"), LISTINGS)


@pytest.fixture
def shown(followed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import the page's own modules beside the package's, with what it adds to others, until the test ends."""
    new = [one.path for one in LISTINGS if one.language == "python" and one.path.startswith("src/")]
    names = [path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in new]
    for name in names:
        package = importlib.import_module(name.rpartition(".")[0])
        monkeypatch.setattr(
            package, "__path__", [*package.__path__, str(followed / "src" / Path(*name.split(".")).parent)]
        )
    added = [add(one) for one in LISTINGS if one.path in EXTENDED]
    yield
    for module, new_names in added:
        for name in new_names:
            del vars(module)[name]
    for name in names:
        home, _, own = name.rpartition(".")
        sys.modules.pop(name, None)
        vars(sys.modules[home]).pop(own, None)
    gc.collect()
    # Other tests ask for every event that there is.
    assert "games.card_posted" not in {vars(event).get("name") for event in Event.__subclasses__()}


def add(listing: Listing) -> tuple[ModuleType, set[str]]:
    """Run what a change adds to a module of the core, in that module; answers the new names."""
    module = importlib.import_module(listing.path.removeprefix("src/").removesuffix(".py").replace("/", "."))
    before = set(vars(module))
    lines = [line[1:] for line in listing.text.splitlines() if line.startswith("+")]
    exec("\n".join(lines), vars(module))  # noqa: S102 - the page's own text
    return module, set(vars(module)) - before


@pytest.fixture
async def fleet(followed: Path, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Start Parlor's processes from the copy."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path, PYTHONPATH=str(followed / "src")) as fleet:
        yield fleet


# The page


def test_every_listing_says_where_it_goes() -> None:
    assert len(LISTINGS) == len(blocks(PAGE)) > 5


def test_a_kind_and_its_unit_test_take_less_than_40_lines() -> None:
    first_two = [one.text for one in LISTINGS[:2]]
    assert LISTINGS[1].path == UNIT_TEST
    assert 30 < sum(map(lines_of_code, first_two)) < MOST_LINES


def test_the_kind_works_before_the_rest_of_the_page_is_read(tmp_path: Path) -> None:
    """Its unit test passes, and the container makes it."""
    until = list(takewhile(lambda one: not one.path.endswith("events.py"), LISTINGS))
    copy = a_copy(tmp_path, until)
    assert until[-1].path == CONTAINER
    assert "1 passed" in run(copy, "pytest", "-q", UNIT_TEST)
    assert run(copy, "python", "-c", LIST_KINDS).split() == ["http_request", "postcard", "truth_or_dare"]


def test_what_is_shown_keeps_the_rules_of_the_house(followed: Path) -> None:
    run(followed, "ruff", "check", "--fix-only", CONTAINER)  # `make format`, which the page asks for
    run(followed, "ruff", "check", *PATHS)
    run(followed, "ruff", "format", "--check", *PATHS)
    run(followed, "mypy", *PATHS)
    run(followed, "lint-imports", "--no-logo")
    (followed / "docs/asyncapi.json").write_text(run(followed, "python", "-m", "parlor.entrypoints.asyncapi"))
    rules = ("test_house_rules.py", "test_core_is_pure.py", "test_asyncapi.py")
    run(followed, "pytest", "-q", *(f"tests/architecture/{rule}" for rule in rules))


def test_the_unit_test_still_passes_at_the_end_of_the_page(followed: Path) -> None:
    assert "1 passed" in run(followed, "pytest", "-q", UNIT_TEST)


# The kind, and the reaction, in the processes that users start


async def test_a_card_is_posted_and_a_newcomer_finds_one(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        kinds = {kind["kind"] for kind in (await me.get("/task-kinds")).json()["items"]}
        assert "postcard" in kinds
        refused = await me.post("/tasks", json={"kind": "postcard", "payload": CARD | {"copies": 10}})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_payload")

        ordered = await me.post("/tasks", json={"kind": "postcard", "payload": CARD})
        task = (await me.get(f"/tasks/{ordered.json()['id']}", params={"wait": 30})).json()
        assert (task["status"], task["result"]) == ("succeeded", {"receipt": task["id"]})
        assert task["payload"] == {"text": "Sing.", "copies": 1}
        (card,) = fleet.folder.rglob("post/*")
        assert card.name == task["id"]
        assert card.read_text() == "1 High Street\nSing.\n"

        (first,) = (await me.get("/tasks", params={"kind": "truth_or_dare"})).json()["items"]
        drawn = (await me.get(f"/tasks/{first['id']}", params={"wait": 30})).json()
        assert (drawn["status"], drawn["result"]["mode"]) == ("succeeded", "truth")


# What the page promises of them


@dataclass(slots=True)
class Office:
    """Answers the key as the receipt, and remembers the keys."""

    keys: list[str]

    async def post(self, _card: object, *, key: str) -> str:
        self.keys.append(key)
        return key


def run_attempt_of(*handlers: AnyHandler) -> RunAttempt:
    kinds = Kinds.of(handlers, PydanticPayloads(handlers))
    return RunAttempt(kinds, DaemonThreads(2), lambda: 0.5)


@pytest.mark.usefixtures("shown")
async def test_a_run_that_lost_its_lease_tells_of_no_card(database: Database) -> None:
    """Both attempts post under the same key; the event is committed with the result, once."""
    postcards = importlib.import_module("parlor.core.games.postcards")
    office, sql = Office([]), Sql(database)
    run_attempt = run_attempt_of(postcards.PostcardHandler(office))
    (task_id,) = await sql.enqueue(a_task(kind="postcard", payload=CARD))

    async def attempted() -> tuple[RunContext, Succeeded]:
        (attempt,) = await sql.runs.claim([task_id], [])
        context = RunContext(attempt, sql.runs, lambda *_: None)
        ending = await run_attempt(attempt, context)
        assert isinstance(ending, Succeeded)
        return context, ending

    lost, too_late = await attempted()
    await sql.lose_leases(task_id)
    await sql.upkeep.reap(frozenset())
    second, in_time = await attempted()
    with pytest.raises(LeaseLost):
        await lost.commit_with(too_late)
    assert await sql.facts() == []
    await second.commit_with(in_time)
    assert sorted(fact["name"] for fact in await sql.facts()) == ["games.card_posted", "tasks.task_succeeded"]
    assert office.keys == [str(task_id)] * 2


@pytest.mark.usefixtures("shown")
async def test_the_reaction_and_what_it_answers_are_one_commit(database: Database) -> None:
    reactions = importlib.import_module("parlor.core.tasks.reactions")
    sql = Sql(database, reactions={UserRegistered: [reactions.draw_a_first_card]})
    user = a_user()
    async with sql.work() as work:
        await work.users.add(user)
        work.publish(UserRegistered(user.id))
        assert await sql.rows("select * from tasks") == []
    (task,) = await sql.rows("select * from tasks")
    assert (task["kind"], task["user_id"]) == ("truth_or_dare", user.id)
    assert await sql.outbox() == [task["id"]]


@pytest.mark.usefixtures("shown")
async def test_neither_is_there_when_the_transaction_fails_after_the_reaction(database: Database) -> None:
    reactions = importlib.import_module("parlor.core.tasks.reactions")
    reacted: list[Event] = []

    async def fail(event: Event, work: Work) -> None:
        reacted.append(event)
        raise ZeroDivisionError

    sql = Sql(database, reactions={UserRegistered: [reactions.draw_a_first_card, fail]})

    async def register() -> None:
        async with sql.work() as work:
            user = a_user()
            await work.users.add(user)
            work.publish(UserRegistered(user.id))

    with pytest.raises(ZeroDivisionError):
        await register()
    assert len(reacted) == 1
    for table in ("users", "tasks", "task_outbox", "event_outbox"):
        assert await sql.value(f"select count(*) from {table}") == 0


class Press:
    """Prints, and lets a test stand beside it."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.go_on = threading.Event()

    def print_page(self, text: str) -> None:
        self.printed.append(text)
        self.go_on.wait(30)


def a_booklet() -> Attempt:
    return an_attempt(kind="booklet", payload={"pages": ["one", "two"]})


@pytest.mark.usefixtures("shown")
async def test_the_blocking_kind_prints_beside_the_event_loop() -> None:
    booklets: Any = importlib.import_module("parlor.core.games.booklets")
    press, context = Press(), FakeContext()
    running = asyncio.create_task(run_attempt_of(booklets.BookletHandler(press))(a_booklet(), context))
    await eventually(lambda: press.printed == ["one"])
    press.go_on.set()
    ending = await running
    assert isinstance(ending, Succeeded)
    assert ending.result == '{"pages":2}'
    await eventually(lambda: context.shown == [(1, 2, ""), (2, 2, "")])


@pytest.mark.usefixtures("shown")
async def test_the_blocking_kind_stops_when_it_is_abandoned() -> None:
    booklets: Any = importlib.import_module("parlor.core.games.booklets")
    press = Press()
    running = asyncio.create_task(run_attempt_of(booklets.BookletHandler(press))(a_booklet(), FakeContext()))
    await eventually(lambda: press.printed == ["one"])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    press.go_on.set()
    await eventually(lambda: all(thread.name != "handler" for thread in threading.enumerate()))
    assert press.printed == ["one"]


@pytest.mark.usefixtures("shown")
def test_the_blocking_kind_has_its_limit() -> None:
    booklets: Any = importlib.import_module("parlor.core.games.booklets")
    handlers = [booklets.BookletHandler(Press())]

    def limits(**settings: str) -> Mapping[str, int]:
        given = settings_for_tests(DATABASE_URL="postgresql://nowhere/at_all", **settings)
        return make_container(given, mode=Mode.EMBEDDED, handlers=handlers).get(Kinds).limits

    assert limits() == {"booklet": 2}
    (shown,) = re.findall(r"`PARLOR_KIND_LIMITS=(\S+)`", PAGE.read_text())
    assert limits(PARLOR_KIND_LIMITS=shown) == {"booklet": 1, "http_request": 20}
