"""`parlor dead-letters`: list, show, replay and discard what could not be taken."""

import argparse
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from parlor.container import Container
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import ParlorError
from parlor.core.shared.ids import DeadLetterId
from parlor.core.shared.paging import MAX_LIMIT, Key, PageRequest
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import MANAGE
from parlor.core.tasks.ports import LetterViews

# Whoever may run commands on the database may do this.
OPERATOR = Actor(kind=ActorKind.SYSTEM, permissions=frozenset({MANAGE}))
LISTED = 20
AT_ONCE = 20  # bodies come along

Act = Callable[[Actor, DeadLetterId], Awaitable[None]]


def list_options(parser: argparse.ArgumentParser) -> None:
    """Take what `list` takes."""
    parser.add_argument("--reason", help="only those with this reason")
    parser.add_argument("--limit", type=int, default=LISTED, help=f"how many, newest first ({LISTED})")


def one_option(parser: argparse.ArgumentParser) -> None:
    """Take what `show` takes."""
    parser.add_argument("id", type=UUID)


def which_options(parser: argparse.ArgumentParser) -> None:
    """Take what `replay` and `discard` take: ids, or what they have in common."""
    parser.add_argument("id", type=UUID, nargs="*")
    parser.add_argument(
        "--all", action="store_true", help="every one; `replay` leaves out those replayed before"
    )
    parser.add_argument("--reason", help="every one with this reason")


def is_clear(given: argparse.Namespace) -> bool:
    """Whether it is said which letters are meant, in one way."""
    return bool(given.id) != bool(given.all or given.reason)


async def list_letters(container: Container, given: argparse.Namespace) -> int:
    """Print a line for each."""
    shown, key = 0, None
    while shown < given.limit:
        request = PageRequest(min(AT_ONCE, given.limit - shown), key)
        page = await container.get(LetterViews).page(OPERATOR, request, reason=given.reason)
        letters: list[dict[str, Any]] = json.loads(page.items)
        for letter in letters:
            _say(_line(letter))
        shown, key = shown + len(letters), page.next_key
        if key is None:
            return 0
    _say("(there are more: --limit)")
    return 0


async def show_letter(container: Container, given: argparse.Namespace) -> int:
    """Print one with everything that is known of it; raises NotFound."""
    view = await container.get(LetterViews).one(OPERATOR, DeadLetterId(given.id))
    _say(json.dumps(json.loads(view), indent=2))
    return 0


async def replay_letters(container: Container, given: argparse.Namespace) -> int:
    """Send them again; answers 1 where one could not be."""
    return await _each(container, given, container.command(ReplayDeadLetter), "replayed")


async def discard_letters(container: Container, given: argparse.Namespace) -> int:
    """Throw them away; answers 1 where one could not be."""
    return await _each(container, given, container.command(DiscardDeadLetter), "discarded")


async def _each(container: Container, given: argparse.Namespace, act: Act, done: str) -> int:
    failures = 0
    meant = _meant(container.get(LetterViews), given, replayed=done == "discarded")
    async for letter_id in meant:
        try:
            await act(OPERATOR, letter_id)
        except ParlorError as error:
            failures += 1
            print(f"parlor: {letter_id}: {error.detail}", file=sys.stderr)  # noqa: T201 - the command's own output
        else:
            _say(f"{letter_id} {done}")
    return 1 if failures else 0


async def _meant(
    views: LetterViews, given: argparse.Namespace, *, replayed: bool
) -> AsyncIterator[DeadLetterId]:
    """Give the ids that were named, or page by page those that fit: from now backwards, so that it ends."""
    for letter_id in given.id:
        yield DeadLetterId(letter_id)
    key: Key | None = None
    while not given.id:
        request = PageRequest(MAX_LIMIT, key)
        page = await views.ids(OPERATOR, request, reason=given.reason, replayed=replayed)
        for letter_id in page.items:
            yield letter_id
        key = page.next_key
        if key is None:
            return


def _line(letter: dict[str, Any]) -> str:
    told: Sequence[str] = [
        letter["id"],
        letter["dead_at"],
        letter["reason"],
        letter["routing_key"] or "-",
        letter["message_id"] or "-",
        "replayed" if letter["replayed_at"] else "",
    ]
    return "  ".join(map(_visible, told)).rstrip()


def _visible(text: str) -> str:
    """Producers choose these words: nothing in them may move the cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _say(line: str) -> None:
    print(line)  # noqa: T201 - the command's own output
