"""The configured card generator, against a real server."""

import json

import pytest

from parlor.adapters.http.generator import HttpCardGenerator
from parlor.core.games.ports import GeneratorAway
from tests.fakes.web import Answer, answering, redirecting, site


async def drawn(url: str, total_s: float = 30.0) -> str:
    generator = HttpCardGenerator(url, total_s=total_s)
    try:
        return await generator.draw("dare", language="de", rating="teen")
    finally:
        await generator.aclose()


def saying(text: object) -> Answer:
    return answering(json.dumps({"text": text}).encode())


async def test_it_is_told_what_to_write_and_its_text_is_taken() -> None:
    async with site(saying("Sing ein Lied.")) as server:
        assert await drawn(server.url) == "Sing ein Lied."
    asked = server.asked[0]
    assert asked.line == "POST / HTTP/1.1"
    assert json.loads(asked.body) == {"mode": "dare", "language": "de", "rating": "teen"}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  Sing.\n", "Sing."),
        ("a\x00b\r\n\tc", "a b c"),
        ("a\u202eb\ud800c", "a b c"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("x" * 500, "x" * 500),
    ],
)
async def test_its_text_is_cleaned_of_control_characters(text: str, cleaned: str) -> None:
    async with site(saying(text)) as server:
        assert await drawn(server.url) == cleaned


@pytest.mark.parametrize("text", ["", " \n\x00", "x" * 501, None, 7, ["a"], {"a": "b"}])
async def test_a_text_that_fits_no_card_is_none(text: object) -> None:
    async with site(saying(text)) as server:
        with pytest.raises(GeneratorAway):
            await drawn(server.url)


@pytest.mark.parametrize(
    "body",
    [b"", b"no", b"[]", b'"text"', b"null", b"{}", b"\xff\xfe", b"[" * 10_000, b'{"text": "a"'],
    ids=repr,
)
async def test_an_answer_of_another_shape_is_none(body: bytes) -> None:
    async with site(answering(body)) as server:
        with pytest.raises(GeneratorAway):
            await drawn(server.url)


@pytest.mark.parametrize("status", [204, 400, 404, 429, 500, 503])
async def test_an_error_is_no_card(status: int) -> None:
    async with site(answering(b"" if status == 204 else b'{"text": "a"}', status=status)) as server:
        with pytest.raises(GeneratorAway):
            await drawn(server.url)


async def test_a_redirect_is_not_followed() -> None:
    async with site(saying("Sing.")) as other, site(redirecting(other.url, status=307)) as server:
        with pytest.raises(GeneratorAway):
            await drawn(server.url)
        assert other.connections == 0


async def test_an_endless_answer_is_left() -> None:
    async with site(answering(b"", length=False), endless=b" " * 1000) as server:
        with pytest.raises(GeneratorAway):
            await drawn(server.url)
        await server.left.wait()


async def test_a_silent_generator_is_left_when_its_time_is_up() -> None:
    async with site(silent=True) as server:
        with pytest.raises(GeneratorAway, match="too long"):
            await drawn(server.url, total_s=0.1)
        await server.left.wait()


async def test_a_closed_port_and_a_bad_url_are_no_card() -> None:
    async with site() as server:
        url = server.url
    for address in (url, "not a url", "http://[::1"):
        with pytest.raises(GeneratorAway):
            await drawn(address)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as proxy, site(saying("Sing.")) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert await drawn(server.url) == "Sing."
        assert proxy.connections == 0


def test_it_takes_3_seconds_at_most() -> None:
    assert HttpCardGenerator("http://cards.example/").total_s == 3
