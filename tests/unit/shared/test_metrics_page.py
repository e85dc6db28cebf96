"""The page for Prometheus: both formats, what they escape, and surveys that nobody waits long for."""

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as as_open_metrics
from prometheus_client.parser import text_string_to_metric_families as as_text

from parlor.adapters import surveys as module
from parlor.adapters.prometheus import PrometheusPage
from parlor.adapters.surveys import KEPT_S, Surveys
from parlor.core.shared.meters import ONE, Level, Meters
from tests.waiting import soon

OPEN = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Server:
    """Answers, fails, or hangs."""

    level: Level
    failing: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def ask(self) -> None:
        self.asked += 1
        if self.failing:
            await self.gone.wait()
            raise ConnectionError
        self.level.show({ONE: float(self.asked)})


@dataclass
class Stand:
    """A page over one server."""

    meters: Meters = field(default_factory=Meters)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.surveys = Surveys(self.meters, monotonic=lambda: self.now)
        self.page = PrometheusPage(self.meters, self.surveys)
        self.server = Server(self.meters.level("rows", "Rows."))
        self.meters.asks("database", self.server.ask, self.server.level)

    async def series(self, accept: str | None = None) -> Series:
        """Read the page as Prometheus does."""
        written = await self.page.written(accept)
        read = as_open_metrics if written.media_type.startswith("application/openmetrics") else as_text
        samples = [one for family in read(written.body.decode()) for one in family.samples]
        found = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}
        assert len(found) == len(samples)
        return {key: value for key, value in found.items() if not key[0].startswith("process_")}


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", OPEN])
async def test_every_reader_reads_the_same_numbers(stand: Stand, accept: str | None) -> None:
    stand.meters.tally("asked_total", "Asked.", "who").add("ada", by=3)
    timing = stand.meters.timing("took_seconds", "Took.", "what", bounds=(0.5, 1))
    for seconds in (0.25, 0.75, 3):
        timing.of("x").see(seconds)
    assert await stand.series(accept) == {
        ("asked_total", (("who", "ada"),)): 3,
        ("took_seconds_bucket", (("le", "0.5"), ("what", "x"))): 1,
        ("took_seconds_bucket", (("le", "1.0"), ("what", "x"))): 2,
        ("took_seconds_bucket", (("le", "+Inf"), ("what", "x"))): 3,
        ("took_seconds_count", (("what", "x"),)): 3,
        ("took_seconds_sum", (("what", "x"),)): 4,
        ("rows", ()): 1,
        ("parlor_up_part", (("part", "database"),)): 1,
    }


@pytest.mark.parametrize("accept", ["text/plain;version=x", f"{OPEN};version=films", ";;,=,", "*", "\x00é"])
async def test_whatever_somebody_accepts_the_page_is_one_of_the_two(stand: Stand, accept: str) -> None:
    assert (await stand.series(accept))["rows", ()] == 1
    kinds = {
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
    assert (await stand.page.written(accept)).media_type in kinds


@pytest.mark.parametrize("accept", [None, OPEN])
async def test_no_label_breaks_out_of_its_quotes(stand: Stand, accept: str | None) -> None:
    nasty = 'a"b\\n\\\n} 1\nrows 99'
    stand.meters.tally("asked_total", "Line\nand \\ too.", "who").add(nasty)
    series = await stand.series(accept)
    assert series["asked_total", (("who", nasty),)] == 1
    assert series["rows", ()] == 1


async def test_the_process_tells_about_itself(stand: Stand) -> None:
    told = (await stand.page.written(None)).body
    assert b"\nprocess_resident_memory_bytes " in told
    assert b"\nprocess_cpu_seconds_total " in told


async def test_who_is_asked_is_left_alone_for_a_while(stand: Stand) -> None:
    for now, asked in ((0, 1), (KEPT_S - 0.1, 1), (KEPT_S, 2)):
        stand.now = now
        assert (await stand.series())["rows", ()] == asked


async def test_readers_who_come_at_once_are_one_question(stand: Stand) -> None:
    await asyncio.gather(*(stand.series() for _ in range(5)))
    assert stand.server.asked == 1


async def test_a_part_that_fails_is_down_and_what_it_told_is_left_out(stand: Stand) -> None:
    await stand.series()
    stand.server.failing, stand.now = True, KEPT_S
    stand.server.gone.set()
    series = await stand.series()
    assert series["parlor_up_part", (("part", "database"),)] == 0
    assert ("rows", ()) not in series
    stand.server.failing, stand.now = False, 2 * KEPT_S
    assert (await stand.series())["parlor_up_part", (("part", "database"),)] == 1


async def test_a_part_that_hangs_holds_nobody_up(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.01)
    stand.server.failing = True
    series = await soon(stand.series())
    assert series["parlor_up_part", (("part", "database"),)] == 0
    assert ("rows", ()) not in series


async def test_one_that_hangs_even_at_its_end_is_not_asked_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(Server):
        async def ask(self) -> None:
            self.asked += 1
            while not self.gone.is_set():
                try:
                    await self.gone.wait()
                except asyncio.CancelledError:
                    continue

    monkeypatch.setattr(module, "ASK_S", 0.01)
    stuck = Stuck(stand.meters.level("depth", "Depth."))
    stand.meters.asks("broker", stuck.ask, stuck.level)
    for now in (0, KEPT_S, 2 * KEPT_S):
        stand.now = now
        series = await soon(stand.series())
        assert series["parlor_up_part", (("part", "broker"),)] == 0
        assert series["parlor_up_part", (("part", "database"),)] == 1
    assert stuck.asked == 1
    stuck.gone.set()
    await stand.surveys.close()


async def test_of_two_questions_to_a_part_both_must_be_answered(stand: Stand) -> None:
    other = Server(stand.meters.level("depth", "Depth."), failing=True)
    other.gone.set()
    stand.meters.asks("database", other.ask, other.level)
    series = await stand.series()
    assert series["parlor_up_part", (("part", "database"),)] == 0
    assert series["rows", ()] == 1
