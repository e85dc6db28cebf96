"""Cursors: only our own come back."""

import base64
import string

import pytest

from parlor.core.shared.paging import PageRequest
from parlor.entrypoints.http.paging import Cursors, InvalidCursor

KEY = ("2026-01-01T00:00:00.000001Z", "0190f5e0-0000-7000-8000-000000000000")


def test_a_cursor_leads_back_to_its_key() -> None:
    cursors = Cursors("tasks", ["one"])
    assert cursors.request(7, cursors.write(KEY)) == PageRequest(limit=7, after=KEY)
    assert cursors.request(7, None) == PageRequest(limit=7)


def test_a_cursor_fits_into_an_address() -> None:
    assert set(Cursors("tasks", ["one"]).write(KEY)).isdisjoint("=+/&?#% ")


@pytest.mark.parametrize("forged", ["", "x", "====", "\u00e9", "a b", "A" * 5000, "QUJD", "bm90aGluZw"])
def test_what_we_did_not_issue_is_refused(forged: str) -> None:
    with pytest.raises(InvalidCursor) as refused:
        Cursors("tasks", ["one"]).read(forged)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [("query:cursor", "invalid_cursor")]


def test_no_byte_of_a_cursor_can_be_changed() -> None:
    cursors = Cursors("tasks", ["one"])
    signed = bytearray(base64.urlsafe_b64decode(cursors.write(KEY) + "=="))
    for place in range(len(signed)):
        changed = signed.copy()
        changed[place] ^= 1
        with pytest.raises(InvalidCursor):
            cursors.read(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


@pytest.mark.parametrize("key", [("1", "2"), ("1", "23"), ("1", "234")], ids=str)
def test_no_character_of_a_cursor_can_be_changed(key: tuple[str, ...]) -> None:
    """The last one too, of which not every bit counts."""
    cursors = Cursors("tasks", ["one"])
    cursor = cursors.write(key)
    others = {cursor[:-1] + letter for letter in string.ascii_letters + string.digits + "-_"} - {cursor}
    for changed in (*others, cursor + "=", cursor + "=="):
        with pytest.raises(InvalidCursor):
            cursors.read(changed)


def test_a_cursor_of_one_place_leads_nowhere_in_another() -> None:
    cursors = Cursors("messages", ["one"])
    assert cursors.of("here").read(cursors.of("here").write(KEY)) == KEY
    for other in (cursors, cursors.of("there")):
        with pytest.raises(InvalidCursor):
            other.read(cursors.of("here").write(KEY))


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        Cursors("dead-letters", ["one"]).read(Cursors("tasks", ["one"]).write(KEY))


def test_a_cursor_outlives_the_change_of_the_secret() -> None:
    assert Cursors("tasks", ["new", "old"]).read(Cursors("tasks", ["old"]).write(KEY)) == KEY


def test_a_cursor_ends_with_its_secret() -> None:
    with pytest.raises(InvalidCursor):
        Cursors("tasks", ["new"]).read(Cursors("tasks", ["old"]).write(KEY))
