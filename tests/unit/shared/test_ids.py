"""UUIDv7: made of the time, and always greater than the one before."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122

import pytest

from parlor.core.shared.ids import uuid7


def milliseconds(made: object) -> int:
    return int(str(made).replace("-", "")[:12], 16)


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)


def test_an_id_begins_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far ahead, since an id of this process never goes back."""
    ahead = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: ahead)
    monkeypatch.setattr("parlor.core.shared.ids._last", 0)
    assert milliseconds(uuid7()) == ahead // 1_000_000


def test_ids_rise_within_a_millisecond_and_over_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 4,096 of one millisecond run ahead of the clock."""
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr("parlor.core.shared.ids._last", 0)
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(set(made))
    assert milliseconds(made[-1]) == milliseconds(made[0]) + 1


def test_ids_rise_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = uuid7()
    past = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: past)
    assert uuid7() > before


def test_ids_of_many_threads_are_different() -> None:
    with ThreadPoolExecutor(max_workers=8) as threads:
        made = list(threads.map(lambda _: [uuid7() for _ in range(200)], range(8)))
    assert len({one for some in made for one in some}) == 1600
    assert all(some == sorted(some) for some in made)
