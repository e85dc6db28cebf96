"""Forms, read as strictly as JSON."""

from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies as st

from parlor.core.shared.errors import Invalid
from parlor.entrypoints.http.forms import MOST_FIELDS, InvalidForm, read_form


def test_a_form_is_read() -> None:
    raw = b"grant_type=password&username=ada%40example.org&password=a+b%2Bc%26d%3D&scope="
    told = {"grant_type": "password", "username": "ada@example.org", "password": "a b+c&d=", "scope": ""}
    assert read_form(raw) == told
    assert read_form(b"a=b=c&d") == {"a": "b=c", "d": ""}


def test_texts_are_composed() -> None:
    assert read_form(b"a=e%CC%81") == {"a": "\xe9"}


@pytest.mark.parametrize(
    "raw",
    [b"", b"a=1&a=2", b"a=1&%61=2", b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"\xff=1", b"a=%ed%a0%80", b"&&"],
    ids=range(10),
)
def test_what_is_no_form_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidForm):
        read_form(raw)


def test_an_empty_form_is_told_to_be_empty() -> None:
    with pytest.raises(InvalidForm) as error:
        read_form(b"")
    assert error.value.detail == "The form is empty."


@pytest.mark.parametrize("raw", [b"a=%00", b"a=x%1by", b"a=%7f", b"%00=a"], ids=range(4))
def test_what_no_text_may_hold_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        read_form(raw)


def test_a_form_has_50_fields_at_most() -> None:
    assert len(read_form(b"&".join(b"f%d=" % number for number in range(MOST_FIELDS)))) == MOST_FIELDS
    with pytest.raises(InvalidForm):
        read_form(b"&".join(b"f%d=" % number for number in range(MOST_FIELDS + 1)))
    with pytest.raises(InvalidForm):
        read_form(b"&" * 1_000_000)


@given(st.dictionaries(st.text("abc é&=+%", min_size=1), st.text("abc é&=+%"), min_size=1, max_size=9))
def test_what_a_browser_writes_is_what_is_read(fields: dict[str, str]) -> None:
    assert read_form(urlencode(fields).encode()) == fields


@given(st.binary(max_size=200))
def test_whatever_it_is_it_is_read_or_refused(raw: bytes) -> None:
    try:
        read_form(raw)
    except (InvalidForm, Invalid):
        return
