"""The passwords that everybody tries first, as they ship with Parlor."""

import unicodedata
from importlib.resources import files


class ShippedCommonPasswords:
    """Port CommonPasswords. Case, and forms of a letter that Unicode calls compatible, make no difference."""

    def __init__(self) -> None:
        text = files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
        self._folded = frozenset(line for line in text.splitlines() if not line.startswith("#"))

    def __contains__(self, password: str) -> bool:
        return _fold(password) in self._folded

    def __len__(self) -> int:
        return len(self._folded)


def _fold(password: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", password).casefold())
