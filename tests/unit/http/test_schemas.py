"""What texts of bodies and paths must show."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from parlor.entrypoints.http.chat_schemas import Emoji, MessageText, Title
from parlor.entrypoints.http.identity import DisplayName
from parlor.entrypoints.http.party_schemas import Name

SEEN = {"name": Name, "title": Title, "display name": DisplayName, "text": MessageText, "emoji": Emoji}
INVISIBLE = (
    "\u200b\ufeff\u115f\u1160\u2060\u200d\u00ad\u034f\u2800\u3164\ufe0f\uffa0\U000e0020\U000e0100\u3000 "
)

KINDS = pytest.mark.parametrize("kind", SEEN.values(), ids=list(SEEN))


@KINDS
@pytest.mark.parametrize("character", INVISIBLE, ids=lambda one: f"{ord(one):x}")
def test_what_shows_nothing_is_blank(kind: Any, character: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(character * 3)
    assert [error["type"] for error in refused.value.errors()] == ["blank"]


@KINDS
@pytest.mark.parametrize(
    "text", ["\u200babc", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f\u2764", "Zo\u00e9"]
)
def test_what_shows_something_may_hold_joiners(kind: Any, text: str) -> None:
    assert TypeAdapter(kind).validate_python(text) == text
