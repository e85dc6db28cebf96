"""The page of problems says what the code does."""

from pathlib import Path

from parlor.core.shared.errors import ParlorError
from parlor.entrypoints.http.problems import all_codes, flaw_codes, page

PAGE = Path(__file__).parents[2] / "docs" / "problems.md"


def test_every_code_is_on_the_page() -> None:
    text = PAGE.read_text()
    missing = [code for code in [*all_codes(), *flaw_codes()] if f"| `{code}` |" not in text]
    assert missing == [], "run: python -m parlor.entrypoints.http.problems > docs/problems.md"


def test_the_page_is_the_one_that_the_source_makes() -> None:
    assert PAGE.read_text() == page(), "run: python -m parlor.entrypoints.http.problems > docs/problems.md"


def test_every_code_is_a_stable_word() -> None:
    for code in [*all_codes(), *flaw_codes()]:
        assert code.replace("_", "").isalpha()
        assert code == code.lower()


def test_no_two_errors_share_a_code() -> None:
    assert len(all_codes()) >= 30
    named = [
        kind for kind in kinds(ParlorError) if "code" in vars(kind) and kind.__module__.startswith("parlor.")
    ]
    codes = [kind.code for kind in named]
    assert sorted(codes) == sorted(set(codes))


def kinds(base: type[ParlorError]) -> list[type[ParlorError]]:
    return [kind for child in base.__subclasses__() for kind in (child, *kinds(child))]
