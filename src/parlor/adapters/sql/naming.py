"""Names as they are searched: folded, and in letters that every database has trigrams for."""

import re
import unicodedata
from itertools import islice

LEAST_TO_MISTAKE = 4
MOST_SWAPPED = 24

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ACCENT = re.compile("[\u0300-\u036f]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")


def key_of(name: str) -> str:
    """Fold a name to what it is compared by: NFKC and without case, with single blanks between words."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(once.split())


def swapped(key: str) -> list[str]:
    """List each word with two neighbours changed back, for each place where they may have changed: 24 at most.

    Only words of four letters or more are mistaken, and no numbers.
    """
    words = [word for word in key.split() if len(word) >= LEAST_TO_MISTAKE and not word.isdigit()]
    found = (
        word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        for word in words
        for place in range(len(word) - 1)
        if word[place] != word[place + 1]
    )
    return list(dict.fromkeys(islice(found, MOST_SWAPPED)))


def grams_of(key: str) -> str:
    """Leave accents out, and spell every letter and digit that is not ASCII with four of ASCII's.

    PostgreSQL takes trigrams of what its locale holds for letters, which under `C` are ASCII's alone: a Russian or
    Japanese name would have none.
    """
    return _FOREIGN.sub(lambda found: _spelt(found[0]), _ACCENT.sub("", unicodedata.normalize("NFKD", key)))


def _spelt(letter: str) -> str:
    if not letter.isalnum():
        return " "
    number, digits = ord(letter), ""
    for _ in range(4):
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits
