"""`parlor api-keys`: make, list and end the API keys of services."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from parlor.container import Container
from parlor.core.identity.api_keys import MANAGE, MAX_NAME, ApiKeyViews
from parlor.core.identity.api_keys_use_cases import IssueApiKey, RevokeApiKey
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import ParlorError
from parlor.core.shared.ids import ApiKeyId
from parlor.core.shared.paging import MAX_LIMIT, Key, PageRequest

# Whoever may run commands on the database may do this.
OPERATOR = Actor(kind=ActorKind.SYSTEM, permissions=frozenset({MANAGE}))


def create_options(parser: argparse.ArgumentParser) -> None:
    """Take what `create` takes."""
    parser.add_argument("--name", type=_name, required=True, help="what it is for, as lists show it")
    parser.add_argument(
        "--scope", action="append", default=[], help="a permission that it holds; once for each"
    )
    parser.add_argument("--days", type=_days, help="how long it counts (until it is revoked)")


def which_options(parser: argparse.ArgumentParser) -> None:
    """Take what `revoke` takes."""
    parser.add_argument("id", type=UUID, nargs="+")


async def create_key(container: Container, given: argparse.Namespace) -> int:
    """Print a new key, and nothing else on stdout: it is shown this once. It has no maker."""
    expires_at = container.get(Clock)() + timedelta(days=given.days) if given.days else None
    made = await container.command(IssueApiKey)(
        name=given.name, scopes=frozenset(given.scope), expires_at=expires_at
    )
    _say(made.shown)
    print(f"id {made.api_key.id}; nobody can show this key again", file=sys.stderr)  # noqa: T201 - the command's own output
    return 0


async def list_keys(container: Container, _: argparse.Namespace) -> int:
    """Print a line for each key that was not revoked, newest first."""
    key: Key | None = None
    while True:
        page = await container.get(ApiKeyViews).page(OPERATOR, PageRequest(MAX_LIMIT, key))
        for listed in json.loads(page.items):
            _say(_line(listed))
        key = page.next_key
        if key is None:
            return 0


async def revoke_keys(container: Container, given: argparse.Namespace) -> int:
    """End them for good; answers 1 where one could not be."""
    failures = 0
    for key_id in given.id:
        try:
            await container.command(RevokeApiKey)(OPERATOR, ApiKeyId(key_id))
        except ParlorError as error:
            failures += 1
            print(f"parlor: {key_id}: {error.detail}", file=sys.stderr)  # noqa: T201 - the command's own output
        else:
            _say(f"{key_id} revoked")
    return 1 if failures else 0


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > MAX_NAME:
        raise argparse.ArgumentTypeError(f"1 to {MAX_NAME} visible characters")
    return text


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:  # noqa: PLR2004 - a century
        raise argparse.ArgumentTypeError("a number of days above 0")
    return int(text)


def _line(listed: dict[str, Any]) -> str:
    told: Sequence[str] = [
        listed["id"],
        f"parlor_{listed['prefix']}_…{listed['last_four']}",
        listed["name"],
        ",".join(listed["scopes"]) or "-",
        f"by {listed['maker_id'] or 'the server'}",
        f"until {listed['expires_at'] or 'revoked'}",
        f"used {listed['last_used_at'] or 'never'}",
    ]
    return "  ".join(told)


def _say(line: str) -> None:
    print(line)  # noqa: T201 - the command's own output
