"""One request on its way: where it goes, what goes along, and what a redirect makes of it."""

from dataclasses import dataclass, replace

import httpcore
import httpx

from parlor.adapters.http.guard import BLOCKED
from parlor.core.tasks.http_request import DestinationBlocked, Outgoing

SEE_OTHER = 303
MOVED = frozenset({301, 302})
REDIRECTS = MOVED | {SEE_OTHER, 307, 308}
WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})

# What may go along to another origin; anything else may be a credential, whatever it is called.
HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
DEFAULTS = {"accept": "*/*", "user-agent": "parlor"}
# Compressed answers are not asked for, and a connection serves one call.
OURS = {"accept-encoding": "identity", "connection": "close"}


@dataclass(frozen=True, slots=True)
class Hop:
    """A request to one destination."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None

    @classmethod
    def first(cls, outgoing: Outgoing) -> "Hop":
        """Start with what was asked; raises DestinationBlocked where the URL is not http or https."""
        url = _destination(None, outgoing.url)
        return cls(method=outgoing.method, url=url, headers=outgoing.headers, content=outgoing.content)

    def after(self, status: int, location: str | None) -> "Hop | None":
        """Answer where a response leads to, None where it is no redirect. Raises DestinationBlocked."""
        if status not in REDIRECTS or not location:
            return None
        url = _destination(self.url, location)
        hop = _as_get(self) if _turns_into_get(self.method, status) else self
        hop = hop if _may_trust(self.url, url) else _stripped(hop)
        return replace(hop, url=url)

    @property
    def target(self) -> httpcore.URL:
        """The destination as httpcore wants it."""
        url = self.url
        return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)

    @property
    def head(self) -> list[tuple[bytes, bytes]]:
        """Every header but the length."""
        headers = {"host": self.url.netloc.decode("ascii"), **DEFAULTS, **self.headers, **OURS}
        return [(name.encode("ascii"), value.strip(" \t").encode()) for name, value in headers.items()]

    @property
    def body(self) -> bytes | None:
        """The content, empty where the method needs to say so."""
        return b"" if self.content is None and self.method in WITH_LENGTH else self.content


def _turns_into_get(method: str, status: int) -> bool:
    if status == SEE_OTHER:
        return method not in {"GET", "HEAD"}
    return status in MOVED and method == "POST"


def _as_get(hop: Hop) -> Hop:
    headers = {name: value for name, value in hop.headers.items() if not name.startswith("content-")}
    return replace(hop, method="GET", headers=headers, content=None)


def _stripped(hop: Hop) -> Hop:
    headers = {name: value for name, value in hop.headers.items() if name in HARMLESS}
    return replace(hop, headers=headers, content=None)


def _destination(base: httpx.URL | None, text: str) -> httpx.URL:
    try:
        url = httpx.URL(text) if base is None else base.join(text)
        host = url.host  # decodes an international name, and fails where it is none
    except (httpx.InvalidURL, ValueError) as error:
        raise DestinationBlocked(BLOCKED) from error
    if url.scheme not in {"http", "https"} or not host or not 0 < _port(url) < 1 << 16:
        raise DestinationBlocked(BLOCKED)
    return url


def _may_trust(known: httpx.URL, next_one: httpx.URL) -> bool:
    """Whether it is the same origin, or the same host's step from http to https on the usual ports."""
    if known.host != next_one.host:
        return False
    ports = (_port(known), _port(next_one))
    if known.scheme == next_one.scheme:
        return ports[0] == ports[1]
    return next_one.scheme == "https" and ports == (80, 443)


def _port(url: httpx.URL) -> int:
    if url.port is not None:
        return url.port
    return 443 if url.scheme == "https" else 80
