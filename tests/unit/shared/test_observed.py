"""The wrapper around use cases: three runs at most, one line a call."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from parlor.adapters.observed import observed
from parlor.core.shared.errors import Busy, Contended, NotFound
from parlor.core.shared.meters import Meters
from tests.builders import an_actor


class Losing:
    """Loses this many times against others, then answers."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.calls: list[tuple[object, ...]] = []

    async def __call__(self, *args: object, word: str = "hello") -> str:
        self.calls.append((*args, word))
        if len(self.calls) <= self.losses:
            raise Contended("somebody was first")
        return word.upper()


async def test_an_answer_passes_through() -> None:
    use_case = Losing(0)
    assert await observed("Say", use_case)(1, word="hi") == "HI"
    assert use_case.calls == [(1, "hi")]


async def test_what_loses_twice_runs_a_third_time() -> None:
    use_case = Losing(2)
    assert await observed("Say", use_case)() == "HELLO"
    assert len(use_case.calls) == 3


async def test_calls_are_counted_by_their_outcome_and_reruns_beside_them() -> None:
    async def fail() -> None:
        raise NotFound

    meters = Meters()
    await observed("Say", Losing(2), meters)()
    with pytest.raises(NotFound):
        await observed("Find", fail, meters)()
    outcomes = meters.tally("parlor_use_cases_total", "", "use_case", "outcome").readings()
    assert outcomes == {("Say", "ok"): 1, ("Find", "not_found"): 1}
    reruns = meters.tally("parlor_use_case_reruns_total", "", "use_case").readings()
    assert reruns == {("Say",): 2, ("Find",): 0}
    assert sum(meters.timing("parlor_use_case_duration_seconds", "", "use_case").of("Say").counts) == 1


async def test_what_loses_three_times_is_busy() -> None:
    use_case = Losing(3)
    with pytest.raises(Busy):
        await observed("Say", use_case)()
    assert len(use_case.calls) == 3


async def test_any_other_error_passes_through_at_once() -> None:
    calls: list[int] = []

    async def fail() -> None:
        calls.append(1)
        raise NotFound

    with pytest.raises(NotFound):
        await observed("Find", fail)()
    assert calls == [1]


def outcomes(lines: Sequence[object]) -> list[tuple[object, object, object]]:
    found = [line for line in lines if isinstance(line, dict) and line["event"] == "use_case"]
    return [(line["name"], line["actor"], line["outcome"]) for line in found]


async def test_a_call_is_one_line_with_actor_and_outcome() -> None:
    actor = an_actor()

    async def end(error: Exception | None) -> None:
        if error is not None:
            raise error

    async def act(_actor: object, error: Exception | None) -> None:
        await end(error)

    with capture_logs() as lines:
        await observed("Act", act)(actor, None)
        for error in (NotFound(), ValueError()):
            with pytest.raises(type(error)):
                await observed("Act", act)(actor, error)
        with pytest.raises(Busy):
            await observed("Act", Losing(3))()
    who = f"user:{actor.id}"
    assert outcomes(lines) == [
        ("Act", who, "ok"),
        ("Act", who, "not_found"),
        ("Act", who, "error"),
        ("Act", None, "busy"),
    ]


async def test_a_use_case_may_be_told_a_name() -> None:
    """Or anything else that the wrapper has a word for."""

    async def greet(*, name: str, use_case: str) -> str:
        return f"{use_case}, {name}"

    assert await observed("Greet", greet)(name="Ada", use_case="Hello") == "Hello, Ada"
