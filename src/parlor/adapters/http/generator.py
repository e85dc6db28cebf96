"""The card generator that an operator may configure: an HTTP service that writes truths and dares."""

import asyncio
import json
import re
from dataclasses import dataclass, field

import httpx

from parlor.core.games.model import Rating, Side
from parlor.core.games.ports import GeneratorAway
from parlor.core.shared.tracing import current_trace

TOTAL_S = 3.0
MAX_ANSWER = 16 * 1024
MAX_TEXT = 500

# Control characters, lone surrogates, line separators, and what turns the direction of writing around.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=TOTAL_S, headers={"accept-encoding": "identity"})


@dataclass(frozen=True, slots=True)
class HttpCardGenerator:
    """POSTs `{mode, language, rating}`, takes `{text}`. No guard is asked: the operator chose the URL."""

    url: str
    client: httpx.AsyncClient = field(default_factory=_client)
    total_s: float = TOTAL_S

    async def draw(self, side: Side, *, language: str, rating: Rating) -> str:
        """Ask for a card; raises GeneratorAway."""
        wanted = {"mode": side, "language": language, "rating": rating}
        try:
            async with asyncio.timeout(self.total_s):
                return _card(await self._ask(wanted))
        except TimeoutError as error:
            raise GeneratorAway("it took too long") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GeneratorAway(type(error).__name__) from error

    async def aclose(self) -> None:
        """Close its connections, once nobody draws any more."""
        await self.client.aclose()

    async def _ask(self, wanted: dict[str, str]) -> bytes:
        answer, trace = bytearray(), current_trace()
        headers = {} if trace is None else {"traceparent": trace}
        async with self.client.stream("POST", self.url, json=wanted, headers=headers) as response:
            if not response.is_success:
                raise GeneratorAway(f"it answered {response.status_code}")
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    raise GeneratorAway("its answer is too long")
        return bytes(answer)


def _card(answer: bytes) -> str:
    try:
        card = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise GeneratorAway("its answer is not JSON") from error
    text = card.get("text") if isinstance(card, dict) else None
    if not isinstance(text, str):
        raise GeneratorAway("its answer has no text")
    cleaned = " ".join(_UNPRINTABLE.sub(" ", text).split())
    if not 0 < len(cleaned) <= MAX_TEXT:
        raise GeneratorAway("its text is empty or too long")
    return cleaned
