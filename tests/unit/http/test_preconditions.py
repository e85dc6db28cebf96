"""`If-Match`: what is read out of the header, and what is refused."""

import pytest
from starlette.requests import Request

from parlor.core.shared.errors import Stale
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by


def sent(*lines: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"if-match", line) for line in lines]})


def of(*versions: int) -> Expected:
    return Expected(frozenset(versions))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ANY_VERSION),
        ([b"*"], ANY_VERSION),
        ([b'"1"'], of(1)),
        ([b'"12", "7"'], of(12, 7)),
        ([b'"12","7" ,\t"3"'], of(12, 7, 3)),
        ([b'"1"', b'"2"'], of(1, 2)),
        ([b'W/"1"'], of()),
        ([b'W/"1", "2"'], of(2)),
        ([b'"2",W/"1"'], of(2)),
        ([b'"01"'], of()),
        ([b'"0"'], of()),
        ([b'"1.0"'], of()),
        ([b'""'], of()),
        ([b'"abc", "\xe9"'], of()),
        ([b'"a,"'], of()),
        ([b'"9999999999999999999999"'], of()),
        ([b'"x,1", "2,"'], of()),
    ],
)
def test_the_versions_of_strong_tags_are_read(lines: list[bytes], expected: Expected) -> None:
    """Weak ones never match, and neither does what we never write."""
    assert expected_by(sent(*lines)) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1",
        b'"1',
        b"'1'",
        b'"1" "2"',
        b'"1",',
        b',"1"',
        b'"1",,"2"',
        b'w/"1"',
        b"W/1",
        b'*, "1"',
        b'"a"b"',
    ],
)
def test_what_is_no_list_of_tags_is_refused_where_it_stands(line: bytes) -> None:
    with pytest.raises(InvalidIfMatch) as refused:
        expected_by(sent(line))
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [
        ("header:If-Match", "invalid_if_match")
    ]


def test_only_an_expected_version_may_be_changed() -> None:
    ANY_VERSION.must_be(3)
    of(3, 4).must_be(3)
    for expected in (of(4), of()):
        with pytest.raises(Stale):
            expected.must_be(3)
