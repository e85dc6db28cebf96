"""Rules of this house that no linter knows, and a planted violation of each."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from tests.architecture.source import PACKAGE, ROOT, modules

MAX_LINES = 350
NOQA = re.compile(r"#\s*noqa\b(?!: [A-Z]+\d+(, [A-Z]+\d+)* - \S)")
IGNORE = re.compile(r"#\s*type:\s*ignore\b(?!\[[a-z-]+(, [a-z-]+)*\]  # \S)")
PYRIGHT = re.compile(r"#\s*pyright:(?! ignore\[[A-Za-z]+\]  # \S)")
FOLDERS = ("src", "tests", "benchmarks", "migrations", "scripts")


@dataclass(frozen=True)
class Module:
    """One file of the package: its path inside it, and what stands there."""

    path: str
    code: str

    @property
    def nodes(self) -> Iterable[ast.AST]:
        return ast.walk(ast.parse(self.code))


def commits(module: Module) -> bool:
    """Only the unit of work commits; migrations have a connection of their own."""
    homes = {"adapters/sql/work.py", "adapters/sql/schema.py"}
    return module.path not in homes and any(map(_is_commit, module.nodes))


def _is_commit(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="commit")):
            return True
        case ast.Constant(value=str(text)):
            return text.strip().rstrip(";").lower() == "commit"
        case _:
            return False


def raises_http(module: Module) -> bool:
    """Errors are the domain's; only the edge knows of HTTP."""
    return module.path != "entrypoints/http/errors.py" and "HTTPException" in names(module)


def hides_imports(module: Module) -> bool:
    """Punq and FastAPI read annotations at run time: what they name must be there."""
    return module.path != "adapters/sql/driver.py" and "TYPE_CHECKING" in names(module)


def says_nothing(module: Module) -> bool:
    """Each module begins with one line that says what it is."""
    first, _, rest = (ast.get_docstring(ast.parse(module.code)) or "").partition("\n")
    return not first.endswith(".") or rest.partition("\n")[0].strip() != ""


def is_long(module: Module) -> bool:
    """Past this length a file is two."""
    return len(module.code.splitlines()) > MAX_LINES


RULES = [commits, raises_http, hides_imports, says_nothing, is_long]
DOCSTRING = '"""Something."""\n'
PLANTED: list[tuple[Callable[[Module], bool], str, str]] = [
    (commits, "core/tasks/use_cases.py", "async def end(connection):\n    await connection.commit()"),
    (commits, "adapters/sql/tasks.py", "self.session.transaction.commit()"),
    (commits, "adapters/sql/runs.py", "async def end(session):\n    await session.execute('COMMIT;')"),
    (raises_http, "entrypoints/http/tasks.py", "from fastapi import HTTPException"),
    (raises_http, "core/tasks/model.py", "raise starlette.exceptions.HTTPException(404)"),
    (hides_imports, "core/tasks/ports.py", "from typing import TYPE_CHECKING"),
    (hides_imports, "container.py", "import typing\nif typing.TYPE_CHECKING:\n    import redis"),
    (says_nothing, "core/tasks/ports.py", ""),
    (says_nothing, "core/tasks/ports.py", '"""Two lines that\nsay it."""'),
    (is_long, "container.py", "\n" * MAX_LINES + "x = 1"),
]
BARE = [
    "x = 1  # noqa",
    "x = 1  # noqa: S105",
    "x = 1  # noqa: S105 because",
    "x = 1  # type: ignore",
    "x = 1  # type: ignore[misc]",
    "x = 1  # type: ignore  # because",
    "x = 1  # pyright: ignore[reportAny]",
]
REASONED = [
    "x = 1  # noqa: S105 - refused in production",
    "x = 1  # noqa: S104, SLF001 - for probes from outside",
    "x = 1  # type: ignore[override]  # as the library has it",
    "x = 1  # pyright: ignore[reportAny]  # as the library has it",
    "x = '# noqa'  # a text",
]


def names(module: Module) -> set[str]:
    """Every name that the file uses, imports or reaches by an attribute."""
    found: set[str] = set()
    for node in module.nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.alias(name=name):
                found.add(name.rpartition(".")[2])
            case _:
                pass
    return found


def unreasoned(code: str) -> list[str]:
    """Find comments that silence a tool without saying which of its rules, and why."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [text for text in comments if any(bare.search(text) for bare in (NOQA, IGNORE, PYRIGHT))]


def package() -> list[Module]:
    return [Module(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in modules()]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_is_kept(rule: Callable[[Module], bool]) -> None:
    assert [module.path for module in package() if rule(module)] == [], rule.__doc__


@pytest.mark.parametrize(("rule", "path", "code"), PLANTED)
def test_a_planted_violation_is_seen(rule: Callable[[Module], bool], path: str, code: str) -> None:
    assert rule(Module(path, code))
    assert not rule(Module(path, DOCSTRING))


def test_what_silences_a_tool_names_its_rule_and_a_reason() -> None:
    files = [path for folder in FOLDERS for path in modules(ROOT / folder)]
    found = {str(path.relative_to(ROOT)): unreasoned(path.read_text()) for path in files}
    assert {path: comments for path, comments in found.items() if comments} == {}


@pytest.mark.parametrize("code", BARE)
def test_a_bare_suppression_is_seen(code: str) -> None:
    assert unreasoned(code)


@pytest.mark.parametrize("code", REASONED)
def test_a_reasoned_one_is_not(code: str) -> None:
    assert unreasoned(code) == []
