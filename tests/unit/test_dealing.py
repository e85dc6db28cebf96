"""How tests are dealt out to the workers of a parallel run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dealing import QUICK, dealt


def some(folder: Path, *files: str, each: int) -> list[Any]:
    return [SimpleNamespace(path=folder / file, number=number) for file in files for number in range(each)]


SLOW = some(QUICK.with_name("e2e"), "test_a.py", "test_b.py", "test_c.py", each=2)
SHORT = some(QUICK, "test_d.py", each=12)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_no_test_is_lost_and_files_stay_together(workers: int) -> None:
    order: list[Any] = list(dealt(SLOW + SHORT, workers))
    assert sorted(map(id, order)) == sorted(map(id, SLOW + SHORT))
    places = [order.index(one) for one in SLOW]
    assert all(second == first + 1 for first, second in zip(places[::2], places[1::2], strict=True))


def test_each_worker_begins_with_long_ones_and_ends_with_short_ones() -> None:
    order: list[Any] = list(dealt(SLOW + SHORT, 3))
    for first in range(0, len(order), 6):
        folders = [one.path.parent.name for one in order[first : first + 6]]
        assert folders == ["e2e"] * 2 + ["unit"] * 4
