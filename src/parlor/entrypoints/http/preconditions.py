"""`If-Match`: change a thing only as it was when one read it."""

import re

from starlette.requests import Request

from parlor.core.shared.errors import Flaw, Invalid
from parlor.core.shared.preconditions import ANY_VERSION, Expected

HEADER = "If-Match"
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "description": "`ETag`s of which one must be the present one, or `*`; else 412.",
    "schema": {"type": "string"},
}

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
# Only these can be ours: weak tags never match, and versions are written in one way.
_VERSION = re.compile(r'"([1-9][0-9]{0,17})"')


class InvalidIfMatch(Invalid):
    """`If-Match` is `*`, or a list of entity tags."""

    code = "invalid_if_match"

    def __init__(self) -> None:
        super().__init__()
        self.flaws = (Flaw(f"header:{HEADER}", self.code, self.detail),)


def expected_by(request: Request) -> Expected:
    """Read which versions the client is ready to change. Raises InvalidIfMatch."""
    sent = request.headers.getlist("if-match")
    if not sent:
        return ANY_VERSION
    tags = ", ".join(line.strip(" \t") for line in sent)
    if tags == "*":
        return ANY_VERSION
    if not _TAGS.fullmatch(tags):
        raise InvalidIfMatch
    ours = filter(None, map(_VERSION.fullmatch, re.findall(_TAG, tags)))
    return Expected(frozenset(int(tag[1]) for tag in ours))
