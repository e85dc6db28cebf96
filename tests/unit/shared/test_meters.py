"""Meters: numbers under names, of which there is a bounded number."""

import pytest

from parlor.core.shared.meters import MOST_CELLS, ONE, OTHER, Meters


def test_what_takes_as_long_as_a_bound_counts_below_it() -> None:
    spread = Meters().timing("a_seconds", "", bounds=(0.1, 1.0)).of()
    for seconds in (0.0, 0.1, 0.2, 1.0, 1.1, 60):
        spread.see(seconds)
    assert spread.counts == [2, 2, 2]
    assert spread.total_s == pytest.approx(62.4)


def test_who_asks_for_a_meter_that_is_there_gets_it() -> None:
    meters = Meters()
    meters.tally("a_total", "", "b").add("x")
    meters.tally("a_total", "", "b").add("x", by=2)
    assert meters.tally("a_total", "", "b").readings() == {("x",): 3}


def test_a_name_is_of_one_meter() -> None:
    meters = Meters()
    meters.tally("a_total", "", "b")
    with pytest.raises(ValueError, match="a_total"):
        meters.tally("a_total", "", "c")
    with pytest.raises(ValueError, match="a_total"):
        meters.level("a_total", "", "b")


def test_beyond_their_bound_labels_are_all_the_same() -> None:
    tally = Meters().tally("a_total", "", "b", "c")
    for number in range(10 * MOST_CELLS):
        tally.add("x", str(number))
    readings = tally.readings()
    assert len(readings) == MOST_CELLS + 1
    assert readings[OTHER, OTHER] == 9 * MOST_CELLS
    assert sum(readings.values()) == 10 * MOST_CELLS


def test_a_cell_that_was_kept_shows_from_its_first_moment() -> None:
    tally = Meters().tally("a_total", "")
    cell = tally.of()
    assert tally.readings() == {ONE: 0}
    cell.n += 2
    assert tally.readings() == {ONE: 2}


def test_what_others_count_is_asked_for_each_time() -> None:
    meters, hits = Meters(), [1]
    tally = meters.tally("a_total", "", "cache")
    tally.reads(lambda: {("tokens",): hits[0]})
    tally.reads(lambda: {("users",): 7})
    hits[0] = 5
    assert tally.readings() == {("tokens",): 5, ("users",): 7}


def test_a_level_says_what_was_shown_last() -> None:
    level = Meters().level("a", "", "b")
    level.show({("x",): 1, ("y",): 2})
    level.show({("x",): 3})
    assert level.readings() == {("x",): 3}


def test_two_books_share_nothing() -> None:
    one, other = Meters(), Meters()
    one.tally("a_total", "").add()
    assert other.tally("a_total", "").readings() == {}
