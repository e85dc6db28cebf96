"""Relay: woken by hints, paced by the broker's room, patient with outages."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from parlor.core.shared.bus import (
    FACTS_DUE,
    REPLAYS_DUE,
    TASKS_DUE,
    DueTask,
    Fact,
    Receipt,
    Replay,
    SendFacts,
    SendReplays,
    SendTasks,
)
from parlor.core.shared.errors import DatabaseAway
from parlor.core.shared.meters import ONE, Meters
from parlor.core.tasks.model import Priority
from parlor.entrypoints.consume_worker import relay as module
from parlor.entrypoints.consume_worker.relay import BATCH, Relay
from tests.fakes.handling import A_TASK
from tests.fakes.running import FakeFeed
from tests.waiting import eventually


@dataclass(slots=True)
class FakeOutboxes:
    """Port Outboxes: only counts of rows."""

    tasks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    facts: dict[int, int] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    replays: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    fact_rounds: int = 0
    replay_rounds: int = 0
    replayed: list[tuple[str, int]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def relay_tasks(self, queue: str, limit: int, send: SendTasks) -> int:
        self.asked.append((queue, limit))
        if self.failures:
            raise self.failures.pop()
        sent = await send([DueTask(A_TASK, queue)] * min(limit, self.tasks[queue]))
        self.tasks[queue] -= len(sent)
        return len(sent)

    async def relay_facts(self, lanes: Sequence[int], limit: int, _send: SendFacts) -> int:
        sent = 0
        for lane in lanes:
            taken = min(limit - sent, self.facts[lane])
            self.facts[lane] -= taken
            sent += taken
        return sent

    async def relay_replays(self, queue: str, limit: int, _send: SendReplays) -> int:
        taken = min(limit, self.replays[queue])
        self.replays[queue] -= taken
        self.replayed.append((queue, taken))
        return taken

    async def busy_replays(self) -> Sequence[str]:
        self.replay_rounds += 1
        return [queue for queue, rows in self.replays.items() if rows]

    async def busy_queues(self) -> Sequence[str]:
        self.rounds += 1
        return [queue for queue, rows in self.tasks.items() if rows]

    async def busy_lanes(self) -> Sequence[int]:
        self.fact_rounds += 1
        return [lane for lane, rows in self.facts.items() if rows]


@dataclass(slots=True)
class FakeBus:
    """Port MessageBus: queues that only fill up."""

    rooms: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Priority, 2000))
    asked: int = 0

    async def room(self, queue: str) -> int:
        self.asked += 1
        return self.rooms[queue]

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        for one in due:
            self.rooms[one.queue] -= 1
        return [Receipt.TAKEN] * len(due)

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        return [Receipt.TAKEN] * len(facts)

    async def send_replays(self, replays: Sequence[Replay]) -> Sequence[Receipt]:
        return [Receipt.TAKEN] * len(replays)

    async def idle_queues(self) -> frozenset[str]:
        return frozenset()


@dataclass(slots=True)
class Office:
    """A relay between fakes."""

    outboxes: FakeOutboxes = field(default_factory=FakeOutboxes)
    bus: FakeBus = field(default_factory=FakeBus)
    feed: FakeFeed = field(default_factory=FakeFeed)
    meters: Meters = field(default_factory=Meters)
    relay: Relay = field(init=False)

    def __post_init__(self) -> None:
        self.relay = Relay(bus=self.bus, outboxes=self.outboxes, feed=self.feed, meters=self.meters)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """Not started yet, but stopped in the end."""
    office = Office()
    yield office
    await office.relay.stop()
    assert office.relay.failed() is None


async def test_everything_that_waits_is_published(office: Office) -> None:
    office.outboxes.tasks = {"high": 3, "default": 1200, "low": 1}
    office.outboxes.facts = {0: 700, 15: 1}
    office.relay.start()
    await eventually(
        lambda: not any(office.outboxes.tasks.values()) and not any(office.outboxes.facts.values())
    )


async def test_the_queues_are_served_by_their_priority(office: Office) -> None:
    office.outboxes.tasks = dict.fromkeys(Priority, 1)
    office.relay.start()
    await eventually(lambda: office.outboxes.asked)
    assert office.outboxes.asked[:3] == [("high", BATCH), ("default", BATCH), ("low", BATCH)]


@pytest.mark.parametrize(("hint", "what"), [(TASKS_DUE, "tasks"), (FACTS_DUE, "facts")])
async def test_a_hint_wakes_the_relay(
    office: Office, monkeypatch: pytest.MonkeyPatch, hint: str, what: str
) -> None:
    """The names of the channels are the adapters' own."""
    monkeypatch.setattr(module, "POLL_S", 3600)
    office.relay.start()
    await eventually(lambda: office.outboxes.rounds and office.outboxes.fact_rounds)
    if what == "tasks":
        office.outboxes.tasks["default"] = 1
    else:
        office.outboxes.facts[3] = 1
    office.feed.say(hint)
    await eventually(lambda: not office.outboxes.tasks["default"] and not office.outboxes.facts.get(3))


async def test_a_hint_that_names_its_queue_spares_the_question(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: hints of one queue do not hide another, whose hint was lost."""
    monkeypatch.setattr(module, "POLL_S", 3600)
    office.relay.start()
    await eventually(lambda: office.outboxes.rounds == 1)
    office.outboxes.tasks |= {"default": 1, "high": 1}
    office.feed.say(TASKS_DUE, b"default,another version's queue")
    await eventually(lambda: office.outboxes.rounds >= 2)
    assert office.outboxes.asked[0] == ("default", BATCH)
    await eventually(lambda: not any(office.outboxes.tasks.values()))


async def test_what_no_hint_told_of_is_found_by_the_poll(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    office.relay.start()
    await eventually(lambda: office.outboxes.rounds)
    office.outboxes.tasks["low"] = 1
    await eventually(lambda: not office.outboxes.tasks["low"])


async def test_no_more_is_published_than_the_queue_has_room_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that priority, fairness and cancellation are decided in SQL."""
    monkeypatch.setattr(module, "POLL_S", 0.001)
    office.outboxes.tasks["default"] = 700
    office.bus.rooms["default"] = 600
    office.relay.start()
    await eventually(lambda: office.outboxes.tasks["default"] == 100)
    limits = [limit for queue, limit in office.outboxes.asked if queue == "default"]
    assert limits[:2] == [500, 100]


async def test_a_full_queue_is_left_alone_and_the_others_are_served(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    office.outboxes.tasks = {"high": 1, "default": 5, "low": 1}
    office.bus.rooms["default"] = 0
    office.relay.start()
    await eventually(lambda: office.outboxes.tasks == {"high": 0, "default": 5, "low": 0})
    assert "default" not in dict(office.outboxes.asked)
    office.bus.rooms["default"] = 2000
    await eventually(lambda: office.outboxes.tasks["default"] == 0)


async def test_the_broker_is_asked_for_room_only_now_and_then(office: Office) -> None:
    office.outboxes.tasks["default"] = 1500
    office.relay.start()
    await eventually(lambda: not office.outboxes.tasks["default"])
    assert len(office.outboxes.asked) > office.bus.asked


async def test_a_relay_outlives_the_database(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AWAY_S", 0.001)
    office.outboxes.failures = [DatabaseAway(), DatabaseAway()]
    office.outboxes.tasks["high"] = 1
    office.relay.start()
    await eventually(lambda: not office.outboxes.tasks["high"])


async def test_a_mistake_ends_the_relay() -> None:
    office = Office()
    office.outboxes.failures = [ZeroDivisionError()]
    office.outboxes.tasks["high"] = 1
    office.relay.start()
    await eventually(lambda: isinstance(office.relay.failed(), ZeroDivisionError))
    await office.relay.stop()


async def test_a_stopped_relay_listens_no_more() -> None:
    office = Office()
    office.relay.start()
    await office.relay.stop()
    assert not any(office.feed.listeners.values())


async def test_replays_are_published_too_a_few_at_a_time(office: Office) -> None:
    """Their bodies are as large as they came."""
    office.outboxes.replays = {"high": 1, "low": 70}
    office.relay.start()
    await eventually(lambda: not any(office.outboxes.replays.values()))
    assert office.outboxes.replayed == [("high", 1), ("low", 32), ("low", 32), ("low", 6)]


async def test_a_full_queue_gets_no_replays(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    office.bus.rooms |= {"high": 0, "low": 2}
    office.outboxes.replays = {"high": 1, "low": 2}
    office.relay.start()
    await eventually(lambda: office.outboxes.replays == {"high": 1, "low": 0})
    rounds = office.outboxes.replay_rounds
    await eventually(lambda: office.outboxes.replay_rounds > rounds)
    assert office.outboxes.replays["high"] == 1


async def test_a_hint_wakes_the_relay_for_replays(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 3600)
    office.relay.start()
    await eventually(lambda: office.outboxes.replay_rounds)
    office.outboxes.replays["default"] = 1
    office.feed.say(REPLAYS_DUE)
    await eventually(lambda: not office.outboxes.replays["default"])


async def test_what_is_published_is_counted_by_what_the_broker_made_of_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(due: Sequence[DueTask]) -> Sequence[Receipt]:
        return [Receipt.TAKEN, Receipt.TAKEN, Receipt.REFUSED, *[Receipt.WAITS] * (len(due) - 3)]

    monkeypatch.setattr(FakeBus, "send_tasks", lambda _, due: answers(due))
    meters = Meters()
    relay = Relay(bus=office.bus, outboxes=office.outboxes, feed=office.feed, meters=meters)
    office.outboxes.tasks["high"] = 5
    relay.start()
    await eventually(lambda: not office.outboxes.tasks["high"])
    await relay.stop()
    published = meters.tally("parlor_relay_messages_total", "", "outbox", "receipt").readings()
    shown = {receipt: published["tasks", receipt] for receipt in ("taken", "refused", "waits")}
    assert shown == {"taken": 2, "refused": 1, "waits": 2}
    assert sum(meters.timing("parlor_relay_confirm_seconds", "", "outbox").of("tasks").counts) == 1


async def test_rounds_are_counted_while_there_are_any(office: Office) -> None:
    def rounds() -> float:
        return office.meters.tally("parlor_relay_rounds_total", "").readings()[ONE]

    assert rounds() == 0
    office.relay.start()
    await eventually(rounds)
