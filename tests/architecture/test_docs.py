"""The documents name what is there: files, commands, settings, dependencies."""

import argparse
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from parlor.config import Settings
from parlor.entrypoints import cli
from tests.architecture.documents import anchors, blocks, commands, links, pages, tree
from tests.architecture.source import ROOT

PAGES = pages()
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
ALIASES = {str(field.alias) for field in Settings.model_fields.values()}


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (actions,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    choices: dict[str, argparse.ArgumentParser] = actions.choices
    return choices


def is_taken(words: list[str]) -> bool:
    """Whether `parlor` has this command, and each of the options that the line names."""
    parser = cli._parser()
    while parser._subparsers is not None and words and not words[0].startswith("-"):
        known = subcommands(parser)
        if words[0] not in known:
            return False
        parser, words = known[words[0]], words[1:]
    options = {option for action in parser._actions for option in action.option_strings}
    return {word for word in words if word.startswith("--")} <= options


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_exists(page: Path) -> None:
    for command in commands(page):
        for target in re.findall(r"(?:^|[ ;&|])make ([a-z]+)\b", command):
            assert target in TARGETS, command
        for line in re.findall(r"(?:^|[ /])parlor ([^|;&]+)", command):
            assert is_taken(line.replace("`", "").split()), command


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_setting_exists(page: Path) -> None:
    named = set(re.findall(r"\b(?:PARLOR|SECURITY)_[A-Z_]+[A-Z]\b", page.read_text()))
    assert named <= ALIASES


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_what_a_drawn_tree_shows_is_there(page: str) -> None:
    (drawn, *_) = [block for block in blocks(ROOT / page) if block.text.startswith("src/parlor/\n")]
    shown = list(tree(drawn))
    assert len(shown) > 5
    assert [path for path in shown if not (ROOT / path).exists()] == []


def test_every_folder_of_the_source_is_in_the_tree() -> None:
    (drawn, *_) = blocks(ROOT / "docs/architecture.md", section="The tree")
    shown = set(tree(drawn))
    folders = [path for path in (ROOT / "src/parlor").glob("*/*") if (path / "__init__.py").is_file()]
    assert [path.name for path in folders if f"{path.relative_to(ROOT).as_posix()}/" not in shown] == []


def test_every_dependency_is_accounted_for_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]["dev"]
    asked = [*project["build-system"]["requires"], *project["project"]["dependencies"], *extras]
    told = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    assert sorted(map(canonicalize_name, told)) == sorted(
        {canonicalize_name(Requirement(one).name) for one in asked}
    )


def test_decisions_are_numbered_without_a_hole() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "docs/adr").glob("*.md"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("line", ["films", "serve --films", "users films", "migrate --port 1", "--films"])
def test_a_command_that_is_not_there_is_seen(line: str) -> None:
    assert not is_taken(line.split())


@pytest.mark.parametrize(
    "line", ["up --port 8555", "worker --no-relay", "users create-admin --password-stdin"]
)
def test_one_that_is_there_is_not(line: str) -> None:
    assert is_taken(line.split())
