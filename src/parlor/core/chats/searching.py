"""What a text is found by: words, and pairs of characters in scripts that put no spaces between words.

Made here and not by PostgreSQL, whose own parsers and trigrams depend on the locale of the server, and know neither
two-character words nor how to look into one chat alone.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

MAX_WORD = 64
MAX_ASKED = 16
LEAST_TO_MISTAKE = 4
MOST_MEANT = 20

_ASCII_WORD = re.compile(r"[0-9a-z_]+")
# Han, Kana, Bopomofo, Thai, Lao, Tibetan, Burmese, Khmer, and Han's rarer planes. Hangul has spaces.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035"
    "\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def words_of(text: str) -> list[str]:
    """List what a text is found by, each once. Case, width and form of the characters make no difference."""
    return list(dict.fromkeys(_found_by(_runs(text))))


def asked_for(query: str) -> list[str]:
    """Read a query: a text is found that has all of these; one with `*` at its end is the beginning of a word.

    At most 16 count.
    """
    return [term for run in _runs(query) for term in _terms(run)][:MAX_ASKED]


def meant_by(term: str, known: Iterable[str]) -> list[str]:
    """List terms that may have been meant: one letter wrong, missing, too many, or two neighbours swapped.

    Only words of four letters or more are mistaken, and no numbers; 20 are enough.
    """
    word = term.removesuffix("*")
    if len(word) < LEAST_TO_MISTAKE or word.isdigit():
        return []
    alike = (other for other in known if abs(len(other) - len(word)) <= 1 and _one_slip(word, other))
    return [other + "*" for other in islice(alike, MOST_MEANT)]


def _runs(text: str) -> Sequence[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        return _ASCII_WORD.findall(folded)
    spaced = "".join(character if _in_word(character) else " " for character in folded)
    return _UNSPACED.sub(lambda run: f" {run[0]} ", spaced).split()


def _in_word(character: str) -> bool:
    """Letters, digits, and the marks that belong to them (vowels, in Indic and Thai scripts)."""
    return character == "_" or unicodedata.category(character)[0] in "LNM"


def _found_by(runs: Iterable[str]) -> Iterable[str]:
    """Give each word; of an unspaced run each pair of neighbours, and the last character."""
    for run in runs:
        if _UNSPACED.match(run):
            yield from (run[place : place + 2] for place in range(len(run)))
        else:
            yield run[:MAX_WORD]


def _terms(run: str) -> Sequence[str]:
    if not _UNSPACED.match(run):
        return [run[:MAX_WORD] + "*"]
    return [run + "*"] if len(run) == 1 else [run[place : place + 2] for place in range(len(run) - 1)]


def _one_slip(word: str, other: str) -> bool:
    ahead = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), None)
    if ahead is None:
        return True
    mine, theirs = word[ahead:], other[ahead:]
    return (
        mine[1:] == theirs[1:]
        or mine[1:] == theirs
        or mine == theirs[1:]
        or (mine[:2] == theirs[1::-1] and mine[2:] == theirs[2:])
    )
