"""The guard: which addresses may be called, checked where a connection is made and nowhere else."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpcore

from parlor.core.tasks.http_request import DestinationBlocked

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

BLOCKED = "The destination is not one that may be called."
MOST_ADDRESSES = 4
LOOPBACK = ("127.0.0.1", "::1")

# IANA's registry, written out: what `ipaddress` calls private differs from one patch of Python to the next.
_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's metadata service that hides behind a public address
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved and broadcast
        ),
    )
)
# The one block that the public Internet uses, without Teredo and its kin, documentation and 6to4.
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")

_PLACE = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9._-]*):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class AllowList:
    """The destinations that the operator lets through although they are not public."""

    networks: tuple[Network, ...] = ()
    places: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "AllowList":
        """Read networks, addresses and host:port between commas; raises ValueError naming the bad entry."""
        entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
        networks = [entry for entry in entries if "/" in entry or _address(entry) is not None]
        places = [entry for entry in entries if entry not in networks]
        return cls(
            networks=tuple(_network(entry) for entry in networks),
            places=frozenset(_place(entry) for entry in places),
        )

    def admits(self, host: str, port: int, found: str) -> bool:
        """Whether this host's address may be called: it is public, or an entry covers it."""
        address = _address(found)
        if address is None:
            return False
        inner = _inner(address)
        return is_public(inner) or any(self._covers(host, port, each) for each in _alike(inner))

    def _covers(self, host: str, port: int, address: Address) -> bool:
        asked = {(host.lower().rstrip("."), port), (str(address), port)}
        return not asked.isdisjoint(self.places) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Whether the address is one of the public Internet's."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


@dataclass(frozen=True, slots=True)
class SystemResolver:
    """Asks the system's resolver in threads of its own: a name that takes long delays nobody's database."""

    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")
    )

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if f".{host.rstrip('.')}".endswith(".localhost"):
            return LOOPBACK  # RFC 6761: such a name is nobody else's to answer
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self.threads, ask)
        return [str(entry[4][0]) for entry in found]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, checks every address, and connects to a checked address, never to the name.

    What a name means may change between two questions, so there is only one. TLS and `Host` get the name.
    """

    def __init__(self, allow: AllowList, resolve: Resolve) -> None:
        self._allow = allow
        self._resolve = resolve
        self._dial = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raises DestinationBlocked, and httpcore's ConnectError and ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                for address in (addresses := await self._checked(host, port)):
                    share = timeout and timeout / len(addresses)
                    with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                        return await self._dial.connect_tcp(
                            address, port, share, local_address, socket_options
                        )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        raise httpcore.ConnectError

    async def _checked(self, host: str, port: int) -> Sequence[str]:
        if "%" in host:
            raise DestinationBlocked(BLOCKED)  # a zone: it names an interface of this machine
        try:
            found = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError from error
        if not all(self._allow.admits(host, port, address) for address in found):
            raise DestinationBlocked(BLOCKED)
        return found[:MOST_ADDRESSES]


def _address(text: str) -> Address | None:
    """Read an address; None where it is none, or has a zone."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """Answer the IPv4 address that an IPv6 one merely carries (mapped, NAT64): that is where packets end."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _alike(address: Address) -> Sequence[Address]:
    """Answer every spelling of loopback: who lets one through means this machine, and `localhost` is both."""
    return [ip_address(each) for each in LOOPBACK] if str(address) in LOOPBACK else [address]


def _network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{entry!r} is no network in CIDR notation: {error}") from None


def _place(entry: str) -> tuple[str, int]:
    parts = _PLACE.fullmatch(entry)
    if parts is None or not 0 < int(parts["port"]) < 1 << 16:
        raise ValueError(f"{entry!r} is neither a network (10.0.0.0/8) nor host:port (service:8080)")
    host = parts["host"].strip("[]").rstrip(".")
    address = _address(host)
    return (str(address) if address is not None else host), int(parts["port"])
