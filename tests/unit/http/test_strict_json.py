"""Bodies: what is no JSON here, and what no text may hold."""

import gzip
import json
from typing import Any

import pytest
from httpx import AsyncClient, Response

from parlor.core.identity.use_cases import Register
from parlor.core.shared.errors import Conflict, Invalid
from parlor.entrypoints.http.errors import InvalidJson
from parlor.entrypoints.http.strict_json import read_json
from tests.fakes.container import FakeContainer

JSON = {"content-type": "application/json"}


async def posted(client: AsyncClient, content: bytes, **headers: str) -> Response:
    return await client.post("/api/v1/auth/login", content=content, headers={**JSON, **headers})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"\xef\xbb\xbf{}",
        b'{"email": "\xff"}',
        b'"\xed\xa0\x80"',
        '{"email": "a"}'.encode("utf-16"),
        b'{"email": 1, "email": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        '{"\u00e9": 1, "e\u0301": 1}'.encode(),
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": "\n"}',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 1000 + b"]" * 1000,
    ],
)
async def test_what_is_no_json_here_is_refused(client: AsyncClient, content: bytes) -> None:
    answer = await posted(client, content)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("content", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b"[" * 100_000])
def test_no_depth_brings_the_reader_down(content: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_json(content)


def test_sixty_four_levels_are_taken() -> None:
    assert read_json(b"[" * 64 + b"]" * 64)
    assert read_json(b'{"wide": [' + b"[]," * 500 + b"[]]}")


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        (b'{"email": "a\\u0000b"}', "/email", "control_character"),
        (b'{"email": "\\ud800"}', "/email", "lone_surrogate"),
        (b'{"email": "\\udc00\\ud800"}', "/email", "lone_surrogate"),
        (b'{"a": [0, {"b/~c": "\\u001b"}]}', "/a/1/b~1~0c", "control_character"),
        (b'{"a": "\\u007f"}', "/a", "control_character"),
        (b'{"a": "\\u0085"}', "/a", "control_character"),
        (b'{"a": {"\\u0000": 1}}', "/a", "control_character"),
        (b'"\\ud800"', "", "lone_surrogate"),
        (b'{"a": 1e999}', "/a", "number_too_large"),
        (b'{"a": 9223372036854775808}', "/a", "number_too_large"),
        (b'{"a": -9223372036854775809}', "/a", "number_too_large"),
        (b'{"a": ' + b"1" * 3000 + b"}", "/a", "number_too_large"),
    ],
)
async def test_what_no_text_or_number_may_hold_is_told_where_it_stands(
    client: AsyncClient, content: bytes, pointer: str, code: str
) -> None:
    answer = await posted(client, content)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


def test_a_number_of_a_million_digits_is_refused_at_once() -> None:
    with pytest.raises(Invalid):
        read_json(b"[" + b"7" * 1_000_000 + b"]")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ('"e\\u0301"', "\u00e9"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('{"e\\u0301": ["a\\u030a"]}', {"\u00e9": ["\u00e5"]}),
        ('"two\\nlines\\tand\\r\\n"', "two\nlines\tand\r\n"),
        ("[1, -9223372036854775808, 9223372036854775807]", [1, -(2**63), 2**63 - 1]),
        ("[true, null, 1.5]", [True, None, 1.5]),
        ("{}", {}),
    ],
)
def test_texts_come_in_nfc_and_everything_else_as_it_is(sent: str, read: Any) -> None:
    assert read_json(sent.encode()) == read


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json", ""],
)
async def test_another_media_type_is_refused(client: AsyncClient, media: str) -> None:
    answer = await posted(client, b"{}", **{"content-type": media})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_no_body_at_all_is_no_json(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/login")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


async def test_a_body_without_a_media_type_is_refused(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/login", content=b"{}")
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=UTF-8",
        'application/json;charset="utf-8"',
    ],
)
async def test_json_is_known_by_its_media_type(client: AsyncClient, media: str) -> None:
    assert (await posted(client, b"{}", **{"content-type": media})).status_code == 422


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br"])
async def test_any_content_encoding_is_refused(client: AsyncClient, encoding: str) -> None:
    answer = await posted(client, gzip.compress(b"{}"), **{"content-encoding": encoding})
    assert answer.status_code == 415


@pytest.mark.parametrize("value", [[], "text", 1, None, True])
async def test_a_body_that_is_no_object_is_a_wrong_type(client: AsyncClient, value: Any) -> None:
    answer = await posted(client, json.dumps(value).encode())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == ""


async def test_unknown_fields_are_told_by_pointer(client: AsyncClient) -> None:
    sent = {"email": "ada@example.org", "password": "correct horse", "role": "admin", "a/b": 1}
    answer = await client.post("/api/v1/auth/register", json=sent)
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        ("/role", "unknown_field"),
        ("/a~1b", "unknown_field"),
    }


async def test_missing_fields_are_told_by_pointer(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/register", json={})
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        ("/email", "required"),
        ("/password", "required"),
    }


async def test_routes_get_what_the_strict_reader_read(fake: FakeContainer, client: AsyncClient) -> None:
    seen: dict[str, object] = {}

    async def register(**fields: object) -> None:
        seen.update(fields)
        raise Conflict

    fake.commands[Register] = register
    sent = '{"email": "ada@example.org", "password": "correct horse", "display_name": "Zoe\\u0301"}'
    await client.post("/api/v1/auth/register", content=sent, headers=JSON)
    assert seen["display_name"] == "Zo\u00e9"
