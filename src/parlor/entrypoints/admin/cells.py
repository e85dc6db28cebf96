"""Values as people read them: times, badges, lists, links, and JSON laid out."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from markupsafe import Markup, escape

NOTHING = Markup('<span class="text-secondary">-</span>')
LONGEST = 120
YES_OR_NO = {True: "yes", False: "no"}
TONES: Mapping[str, str] = {
    **dict.fromkeys(("active", "succeeded", "success", "accepted", "public", "owner"), "green"),
    **dict.fromkeys(("running", "queued", "scheduled", "pending", "high", "officer"), "blue"),
    **dict.fromkeys(("failed", "disabled", "wrong_password", "refresh_reuse", "revoked", "banned"), "red"),
    **dict.fromkeys(("throttled", "expired", "replayed"), "orange"),
}
WORDS = frozenset({"status", "outcome", "method", "visibility", "role", "reason", "priority", "kind_of_chat"})


def shown(value: Any, prop: str, *, whole: bool) -> Markup:
    """Write a value: `whole` on a page of its own, else as much as fits into a list."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        return badge(value) if prop in WORDS else _text(value, whole=whole)
    match value:
        case datetime():
            written = moment(value, to_the_second=whole)
        case UUID():
            written = code(value) if whole else code(f"…{str(value)[-6:]}")
        case Mapping():
            written = _json(value, whole=whole)
        case Sequence() | frozenset() | set():
            written = Markup(" ").join(map(word, value))
        case _:
            written = escape(YES_OR_NO.get(value, value) if isinstance(value, bool) else value)
    return written


def word(text: object) -> Markup:
    """Write one of several words."""
    return Markup('<span class="badge console-word">{}</span>').format(text)


def moment(value: datetime, *, to_the_second: bool) -> Markup:
    """Write a moment in UTC; the browser's own time stands beside the pointer."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        utc.strftime("%Y-%m-%d %H:%M:%S" if to_the_second else "%Y-%m-%d %H:%M"),
    )


def badge(word: str) -> Markup:
    """Write a word in the colour of what it means."""
    tone = TONES.get(word, "secondary")
    return Markup('<span class="badge bg-{}-lt">{}</span>').format(tone, word.replace("_", " "))


def code(value: object) -> Markup:
    """Write an id as it is."""
    return Markup("<code>{}</code>").format(value)


def link(path: str, text: object) -> Markup:
    """Write a link."""
    return Markup('<a href="{}">{}</a>').format(path, text)


def _text(value: str, *, whole: bool) -> Markup:
    if whole:
        return Markup('<span class="console-text">{}</span>').format(value)
    return escape(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")


def _json(value: Mapping[str, Any], *, whole: bool) -> Markup:
    if whole:
        laid_out = json.dumps(value, ensure_ascii=False, indent=2)
        return Markup('<pre class="console-json">{}</pre>').format(laid_out)
    return _text(json.dumps(value, ensure_ascii=False), whole=False)
