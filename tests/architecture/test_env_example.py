"""`.env.example` and the settings agree: the same names, the same defaults."""

import re

import pytest

from parlor.config import Settings
from tests.architecture.source import ROOT

EXAMPLE = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
ALIASES = {str(field.alias): name for name, field in Settings.model_fields.items()}


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Read the settings where nothing is set."""
    for name in ALIASES:
        monkeypatch.delenv(name, raising=False)
    return Settings(_env_file=None)


def test_every_setting_is_listed_and_nothing_else() -> None:
    assert set(EXAMPLE) == set(ALIASES)


def test_what_is_listed_is_the_default(defaults: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in EXAMPLE.items():
        if text:
            monkeypatch.setenv(name, text)
    assert Settings(_env_file=None) == defaults


def test_only_what_has_no_default_is_listed_empty(defaults: Settings) -> None:
    without = {alias for alias, name in ALIASES.items() if getattr(defaults, name) in (None, (), {})}
    assert {name for name, text in EXAMPLE.items() if not text} == without


def test_every_variable_is_told_about() -> None:
    """A block of variables has a comment above it, in the same paragraph."""
    paragraph_says_something = False
    for line in (ROOT / ".env.example").read_text().splitlines():
        if re.match(r"#?[A-Z][A-Z0-9_]*=", line):
            assert paragraph_says_something, line
        else:
            paragraph_says_something = line.startswith("# ") and not line.startswith("# ---")
