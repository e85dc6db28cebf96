"""Rows that are kept as JSON."""

from parlor.adapters.sql.rendered import LARGEST, Rendered
from parlor.core.shared.ids import uuid7

FIRST, SECOND, THIRD = (f"{uuid7()}1" for _ in range(3))


def test_what_was_read_once_is_not_read_again() -> None:
    rendered = Rendered()
    assert rendered.missing([FIRST, SECOND]) == [FIRST[:36], SECOND[:36]]
    assert rendered.rows([FIRST, SECOND], {SECOND: "2", FIRST: "1"}) == [b"1", b"2"]
    assert rendered.missing([SECOND, THIRD]) == [THIRD[:36]]
    assert rendered.rows([SECOND, THIRD], {THIRD: "3"}) == [b"2", b"3"]
    assert rendered.rows([], {}) == []


def test_another_version_is_another_row() -> None:
    rendered = Rendered()
    rendered.rows([FIRST], {FIRST: "old"})
    later = FIRST[:36] + "2"
    assert rendered.missing([later]) == [FIRST[:36]]
    assert rendered.rows([later], {later: "new"}) == [b"new"]


def test_what_changed_after_its_key_was_read_comes_as_it_is_now() -> None:
    rendered = Rendered()
    later = FIRST[:36] + "2"
    assert rendered.rows([FIRST], {later: "new"}) == [b"new"]
    assert rendered.missing([FIRST]) == [FIRST[:36]]
    assert rendered.missing([later]) == []


def test_what_is_gone_is_left_out() -> None:
    assert Rendered().rows([FIRST, SECOND], {SECOND: "2"}) == [b"2"]


def test_the_oldest_goes_when_there_is_no_more_room() -> None:
    rendered = Rendered(most_bytes=10)
    rendered.rows([FIRST, SECOND], {FIRST: "1" * 5, SECOND: "2" * 5})
    assert rendered.missing([FIRST, SECOND]) == []
    assert rendered.rows([THIRD], {THIRD: "3"}) == [b"3"]
    assert rendered.missing([FIRST, SECOND, THIRD]) == [FIRST[:36]]


def test_a_large_row_is_not_kept() -> None:
    rendered = Rendered()
    rendered.rows([FIRST, SECOND], {FIRST: "1" * LARGEST, SECOND: "2" * (LARGEST + 1)})
    assert rendered.missing([FIRST, SECOND]) == [SECOND[:36]]
