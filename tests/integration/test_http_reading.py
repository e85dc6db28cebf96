"""What is read of an answer, against real servers: never more than asked for, and always text."""

import asyncio
import gzip
import tracemalloc

import pytest

from parlor.adapters.http.reading import MAX_BODY, as_text
from tests.fakes.calling import get
from tests.fakes.web import answering, site


async def test_an_answer_has_status_headers_body_and_its_time() -> None:
    headers = {"Content-Type": "text/plain", "X-A": "1", "x-a ".strip(): "2"}
    async with site(answering(b"gr\xc3\xbcn", status=404, headers=headers)) as server:
        answer = await get(server.url)
    assert (answer.status, answer.body, answer.truncated) == (404, "gr\u00fcn", False)
    assert answer.headers == {"content-type": "text/plain", "x-a": "1, 2", "content-length": "5"}
    assert answer.elapsed_ms >= 0


@pytest.mark.parametrize(("size", "truncated"), [(MAX_BODY, False), (MAX_BODY + 1, True), (10**6, True)])
async def test_a_body_is_cut_at_64_kib(size: int, truncated: bool) -> None:
    async with site(answering(b"x" * size)) as server:
        answer = await get(server.url)
    assert (len(answer.body), answer.truncated) == (min(size, MAX_BODY), truncated)


async def test_an_endless_body_is_left() -> None:
    async with site(answering(b"", length=False), endless=b"x" * 1000) as server, asyncio.timeout(30):
        answer = await get(server.url)
        assert (len(answer.body), answer.truncated) == (MAX_BODY, True)
        await server.left.wait()


@pytest.mark.parametrize("size", [100, 10**8])
async def test_a_packed_body_that_nobody_asked_for_is_unpacked_as_far_as_the_limit(size: int) -> None:
    packed = gzip.compress(b"x" * size, compresslevel=1)
    async with site(answering(packed, headers={"content-encoding": "gzip"})) as server:
        answer = await get(server.url)
    assert (len(answer.body), answer.truncated) == (min(size, MAX_BODY), size > MAX_BODY)


async def test_a_bomb_is_not_unpacked_into_memory() -> None:
    bomb = gzip.compress(b"x" * 10**8, compresslevel=6)
    async with site(answering(bomb, headers={"content-encoding": "gzip"})) as server:
        tracemalloc.start()
        try:
            await get(server.url)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 10**7


async def test_endless_packing_without_content_is_left() -> None:
    empty_blocks = b"\x00\x00\x00\xff\xff" * 1000
    start = answering(b"\x78\x9c", headers={"content-encoding": "deflate"}, length=False)
    async with site(start, endless=empty_blocks) as server, asyncio.timeout(30):
        answer = await get(server.url)
        assert (answer.body, answer.truncated) == ("", True)
        await server.left.wait()


async def test_a_broken_packing_is_cut_where_it_breaks() -> None:
    async with site(answering(b"not packed", headers={"content-encoding": "gzip"})) as server:
        answer = await get(server.url)
    assert (answer.body, answer.truncated) == ("", True)


async def test_no_body_grows_beyond_64_kib_of_utf_8_by_its_charset() -> None:
    headers = {"content-type": "text/plain; charset=windows-1251"}
    async with site(answering(b"\xe6" * MAX_BODY, headers=headers)) as server:
        answer = await get(server.url)
    assert (len(answer.body.encode()), answer.truncated) == (MAX_BODY, True)


@pytest.mark.parametrize("character", ["\u00fc", "\u20ac", "\U0001f600"])
async def test_a_part_of_a_character_at_the_cut_is_dropped(character: str) -> None:
    start = "x" * (MAX_BODY - len(character.encode()) + 1)
    async with site(answering((start + character * 2).encode())) as server:
        answer = await get(server.url)
    assert answer.body == start


@pytest.mark.parametrize(
    ("raw", "content_type", "text"),
    [
        (b"gr\xfcn", "text/plain; charset=iso-8859-1", "gr\u00fcn"),
        (b"gr\xfcn", 'text/plain; Charset = "Windows-1252"', "gr\u00fcn"),
        (b"\xff\xfea\x00", "text/plain;charset=utf-16", "a"),
        (b"gr\xc3\xbcn", "", "gr\u00fcn"),
        (b"gr\xfcn", "", "gr\ufffdn"),
        (b"gr\xc3\xbcn", "text/plain; charset=none-such", "gr\u00fcn"),
        (b"gr\xc3\xbcn", "text/plain; charset=punycode", "gr\u00fcn"),
        (b"gr\xc3\xbcn", "text/plain; charset=iso-8859-12", "gr\u00fcn"),
        (b"gr\xc3\xbcn", "text/plain; charset=utf-8-sig", "gr\u00fcn"),
        (b"a\x00b\x1bc\n\t\r", "", "a\ufffdb\ufffdc\n\t\r"),
        (b"\xed\xa0\x80", "", "\ufffd\ufffd\ufffd"),
        (b"\x00\xd8", "text/plain; charset=utf-16le", "\ufffd"),
    ],
)
def test_a_body_becomes_text_that_a_database_can_keep(raw: bytes, content_type: str, text: str) -> None:
    assert as_text(raw, content_type) == text


async def test_headers_are_kept_as_far_as_there_is_room() -> None:
    many = {f"x-{number}": "v" for number in range(200)}
    async with site(answering(headers=many)) as server:
        assert len((await get(server.url)).headers) == 100
    long = {f"x-{number}": "v" * 1000 for number in range(50)}
    async with site(answering(headers=long)) as server:
        kept = (await get(server.url)).headers
    assert sum(len(name) + len(value) for name, value in kept.items()) <= 16 * 1024
