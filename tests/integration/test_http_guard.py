"""The guard on outgoing HTTP, against real servers: what it refuses, and what it lets through."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings, strategies as st

from parlor.adapters.http.guard import AllowList, SystemResolver, is_public
from parlor.core.tasks.http_request import DestinationBlocked
from tests.fakes.calling import LOOPBACK, FakeNames, a_caller, a_request, get
from tests.fakes.web import redirecting, site


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.10",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "my.localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1%25lo]",
        "[fe80::1%lo]",
        "[::1%25lo]",
    ],
)
async def test_loopback_is_blocked_in_every_spelling(host: str) -> None:
    async with site() as server:
        with pytest.raises(DestinationBlocked):
            await get(f"http://{host}:{server.port}/", allow="")
        assert server.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:0:10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)
async def test_what_is_not_public_is_blocked(host: str) -> None:
    with pytest.raises(DestinationBlocked):
        await get(f"http://{host}/", allow="")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://xn--/",
        "file://localhost/etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "/etc/passwd",
        "",
        "http://",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://[::1",
    ],
)
async def test_only_http_and_https_urls_are_called(url: str) -> None:
    with pytest.raises(DestinationBlocked):
        await get(url)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "fe80::1%eth0", "::ffff:127.0.0.1", "what"]
)
async def test_a_name_is_judged_by_the_address_that_it_has(address: str) -> None:
    async with site() as server:
        with pytest.raises(DestinationBlocked):
            await get(f"http://shop.example:{server.port}/", "", FakeNames([[address]]))
        assert server.connections == 0


async def test_one_forbidden_address_among_others_blocks_the_name() -> None:
    async with site() as server:
        names = FakeNames([["127.0.0.1", "10.0.0.1"]])
        with pytest.raises(DestinationBlocked):
            await get(f"http://shop.example:{server.port}/", LOOPBACK, names)
        assert server.connections == 0


async def test_a_name_is_asked_for_once_and_its_checked_address_is_called() -> None:
    async with site() as server:
        names = FakeNames([["127.0.0.1"], ["10.0.0.1"]])
        answer = await get(f"http://shop.example:{server.port}/a?b=c", LOOPBACK, names)
        assert (answer.status, answer.body, names.asked) == (200, "hello", ["shop.example"])
        assert server.asked[0].line == "GET /a?b=c HTTP/1.1"
        assert server.asked[0].headers["host"] == f"shop.example:{server.port}"


async def test_a_name_that_changes_its_address_is_blocked_at_the_next_connection() -> None:
    async with site(redirecting("/again")) as server:
        names = FakeNames([["127.0.0.1"], ["10.0.0.1"]])
        with pytest.raises(DestinationBlocked):
            await get(f"http://shop.example:{server.port}/", LOOPBACK, names)
        assert (server.connections, len(names.asked)) == (1, 2)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254"]
)
async def test_a_redirect_into_our_own_network_is_blocked(host: str) -> None:
    async with site() as inner, site(redirecting(f"http://{host}:{inner.port}/")) as outer:
        with pytest.raises(DestinationBlocked):
            await get(outer.url, allow=f"127.0.0.1:{outer.port}")
        assert (outer.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::1"])
async def test_a_redirect_to_another_scheme_is_blocked(location: str) -> None:
    async with site(redirecting(location)) as server:
        with pytest.raises(DestinationBlocked):
            await get(server.url)


async def test_a_blocked_destination_does_not_say_what_it_resolved_to() -> None:
    with pytest.raises(DestinationBlocked) as told:
        await get("http://db.internal/", "", FakeNames([["10.9.8.7"]]))
    assert "10.9" not in str(told.value)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as proxy, site() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await get(server.url)).status == 200
        assert (proxy.connections, server.connections) == (0, 1)


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("127.0.0.0/8", "http://127.0.0.1:{port}/"),
        ("127.0.0.1", "http://127.0.0.1:{port}/"),
        ("127.0.0.1", "http://2130706433:{port}/"),
        ("127.0.0.1", "http://localhost:{port}/"),
        ("::1", "http://localhost:{port}/"),
        ("localhost:{port}", "http://localhost.:{port}/"),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}/"),
        ("127.0.0.1:{port}", "http://127.1:{port}/"),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]:{port}/"),
        (" 10.0.0.0/8 , shop.EXAMPLE:{port} ,", "http://Shop.example.:{port}/"),
    ],
)
async def test_the_operator_lets_destinations_through(allow: str, url: str) -> None:
    async with site() as server:
        names = FakeNames([["127.0.0.1"]]) if "hop" in url else SystemResolver()
        caller = a_caller(allow.format(port=server.port), names)
        assert (await caller.call(a_request(url.format(port=server.port)))).status == 200


@pytest.mark.parametrize(
    "allow", ["10.0.0.0/8", "127.0.0.2/32", "fd00::/8", "127.0.0.1:1", "localhost:{port}"]
)
async def test_an_entry_lets_nothing_else_through(allow: str) -> None:
    async with site() as server:
        with pytest.raises(DestinationBlocked):
            await get(server.url, allow=allow.format(port=server.port))


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("8.8.8.8", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("2606:4700::1111", True),
        ("2606:4700::1111%eth0", False),
        ("8.8.8.8 ", False),
    ],
)
def test_an_address_is_judged_by_where_its_packets_end(address: str, admitted: bool) -> None:
    assert AllowList().admits("shop.example", 443, address) == admitted


def test_an_allow_list_is_read_entry_by_entry() -> None:
    allowed = AllowList.parse("127.0.0.0/8,localhost:8080,[::1]:80, fd00::/8,2001:db8::1")
    assert [str(network) for network in allowed.networks] == ["127.0.0.0/8", "fd00::/8", "2001:db8::1/128"]
    assert allowed.places == {("localhost", 8080), ("::1", 80)}


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_allow_list_allows_nothing(text: str) -> None:
    assert AllowList.parse(text) == AllowList()


@pytest.mark.parametrize(
    "entry",
    [
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/99",
        "host:0",
        "host:65536",
        "host:x",
        "*:80",
        "http://a:80",
        "a b:1",
        "/",
    ],
)
def test_a_bad_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is no network|is neither") as told:
        AllowList.parse(f"127.0.0.0/8,{entry}")
    assert repr(entry) in str(told.value)


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_that_python_calls_private(address: IPv4Address) -> None:
    assert address.is_global or not is_public(address)
    assert not (address.is_multicast and is_public(address))


@settings(deadline=None)
@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_public_that_python_calls_private(address: IPv6Address) -> None:
    assert address.is_global or not is_public(address)
    assert not (address.is_multicast and is_public(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))
