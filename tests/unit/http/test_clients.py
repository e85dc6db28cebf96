"""Where a request comes from: the peer, or whom the trusted proxies in front have heard."""

import pytest

from parlor.entrypoints.http.call import Call
from parlor.entrypoints.http.clients import MAX_USER_AGENT, Proxies

TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48")
HALVES = ["[", "[]", "]", ":", "::ffff:", "%", "192.0.2", "192.0.2.1.1"]
GARBAGE = ["unknown", "_hidden", "\xb2", "1" * 9999, *HALVES]


def ip(*forwarded: str, peer: str | None = "10.0.0.1", trusted: tuple[str, ...] = TRUSTED) -> str | None:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    scope = {"headers": headers, "client": (peer, 1) if peer is not None else None}
    return Proxies(trusted).client_of(Call.of(scope), scope).ip


def test_by_default_only_the_peer_counts() -> None:
    assert ip("192.0.2.1", peer="10.0.0.1", trusted=()) == "10.0.0.1"


def test_a_stranger_cannot_say_who_they_are() -> None:
    assert ip("192.0.2.1", peer="198.51.100.9") == "198.51.100.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.66, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.66, 192.0.2.1, 10.2.2.2", "192.0.2.1"),
        ("10.3.3.3,10.2.2.2", "10.3.3.3"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("192.0.2.1, 2001:db8:ffff::7", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_the_hops_are_read_from_right_to_left(forwarded: str, expected: str) -> None:
    assert ip(forwarded) == expected


@pytest.mark.parametrize("garbage", GARBAGE, ids=[str(number) for number in range(len(GARBAGE))])
def test_garbage_leaves_the_last_proxy_that_made_sense(garbage: str) -> None:
    assert ip(garbage) == "10.0.0.1"
    assert ip(f"192.0.2.1, {garbage}") == "10.0.0.1"
    assert ip(f"{garbage}, 192.0.2.1") == "192.0.2.1"
    assert ip(f"{garbage}, 10.7.7.7") == "10.7.7.7"


@pytest.mark.parametrize("nothing", ["", ",", " , ,", "," * 5000], ids=["empty", "one", "spaced", "many"])
def test_empty_elements_are_none(nothing: str) -> None:
    assert ip(nothing) == "10.0.0.1"
    assert ip(f"192.0.2.1,{nothing}") == "192.0.2.1"
    assert ip(f"{nothing},192.0.2.1") == "192.0.2.1"
    assert ip("192.0.2.1", nothing) == "192.0.2.1"


def test_an_empty_element_between_others_is_none() -> None:
    assert ip("203.0.113.66,192.0.2.1,,, 10.2.2.2") == "192.0.2.1"


def test_several_lines_are_one_list() -> None:
    assert ip("203.0.113.66", "192.0.2.1, 10.2.2.2") == "192.0.2.1"
    assert ip("192.0.2.1", "10.2.2.2") == "192.0.2.1"


def test_a_chain_longer_than_any_is_cut() -> None:
    assert ip("192.0.2.1" + ", 10.2.2.2" * 5000) == "10.2.2.2"


def test_a_trusted_peer_may_be_written_as_ipv6() -> None:
    assert ip("192.0.2.1", peer="::ffff:10.0.0.1") == "192.0.2.1"


def test_who_has_no_address_has_none() -> None:
    assert ip("192.0.2.1", peer=None) is None
    assert ip("192.0.2.1", peer="") is None


def test_a_user_agent_is_kept_as_far_as_it_can_be_shown() -> None:
    agent = b"a\x07browser\xa0" + b"x" * 1000
    scope = {"headers": [(b"user-agent", agent)], "client": None}
    kept = Proxies(()).client_of(Call.of(scope), scope).user_agent
    assert kept is not None
    assert kept.startswith("abrowser")
    assert len(kept) == MAX_USER_AGENT
