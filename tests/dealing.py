"""In which order the workers of a parallel run get the tests: who ends first takes over short ones."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

QUICK = Path(__file__).with_name("unit")


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Give each worker, which begins with an equal run of the tests, its turn of the long files before unit tests.

    A file stays together, as its fixtures want.
    """
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    quick = [item for item in items if item.path.is_relative_to(QUICK)]
    long = [item for item in items if not item.path.is_relative_to(QUICK)]
    for number, (_, file) in enumerate(groupby(long, lambda item: item.path)):
        hands[number % workers] += file
    for place, hand in enumerate(hands):
        share = max(0, len(items) // workers - len(hand)) if place + 1 < workers else len(quick)
        hand.extend(quick[:share])
        del quick[:share]
    return [item for hand in hands for item in hand]
