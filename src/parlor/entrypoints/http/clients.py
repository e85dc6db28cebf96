"""Where a request comes from, also behind proxies that may be believed."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

from parlor.core.identity.model import Client
from parlor.entrypoints.http.call import Call

MAX_USER_AGENT = 256
MOST_HOPS = 32

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Proxies:
    """The proxies whose `X-Forwarded-For` counts: each has added, on the right, whom it heard from."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted: Sequence[Network] = [ip_network(cidr, strict=False) for cidr in trusted]

    def client_of(self, call: Call, scope: Scope) -> Client:
        """Tell who asks, in words that may be stored and shown."""
        agent = call.header(b"user-agent")
        return Client(ip=self._ip(scope), user_agent=agent and _printable(agent))

    def _ip(self, scope: Scope) -> str | None:
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        if address is None or not self._trusts(address):
            return str(address) if address else None
        for hop in reversed(_forwarded(scope)):
            before = _address(hop)
            if before is None:  # whoever wrote this knows no more
                break
            address = before
            if not self._trusts(address):
                break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded(scope: Scope) -> list[str]:
    """List the hops, of every line in their order; only so many as a sane chain of proxies has.

    An empty element of a list is none (RFC 9110, section 5.6.1).
    """
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = b",".join(lines).strip(b" \t,").decode("latin-1").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    return [hop for hop in hops if hop.strip()]


def _address(written: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; an IPv4 address in IPv6 is one of IPv4."""
    text = written.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:MAX_USER_AGENT]
