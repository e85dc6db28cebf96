"""Every code that an answer may carry, found in the source: what `docs/problems.md` lists.

`python -m parlor.entrypoints.http.problems > docs/problems.md` writes the page.
"""

import ast
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import parlor.core
import parlor.entrypoints.http
from parlor.core.shared.errors import ParlorError
from parlor.entrypoints.http.errors import status_of
from parlor.validation import OWN_WORDS, WORDS

INTRO = """\
# Problems

Every 4xx and 5xx answer is an RFC 9457 problem (`application/problem+json`): `type`, `title`, `status`,
`detail`, `code`, `request_id`, and for 422 `errors`, a list of `pointer`, `code` and `detail`. `code` is
stable; `detail` is for people and may change. `type` is `urn:parlor:problem:<code>`. This page is made
from the source:
`python -m parlor.entrypoints.http.problems > docs/problems.md`.

| status | code | meaning |
|---|---|---|
"""
FLAWS = """
## What can be wrong with one field

A `pointer` is a JSON pointer into the body (`/payload/url`, empty for the body itself), or `query:limit`,
`path:task_id`, `header:Idempotency-Key`. Kinds of tasks may add codes for fields of their payload.

| code | meaning |
|---|---|
"""


def all_codes() -> dict[str, type[ParlorError]]:
    """Find the class behind every code."""
    _import_all(parlor.core)
    _import_all(parlor.entrypoints.http)
    ours = (kind for kind in _kinds(ParlorError) if kind.__module__.startswith("parlor."))
    return {kind.code: kind for kind in sorted(ours, key=lambda kind: kind.__qualname__)}


def flaw_codes() -> dict[str, str]:
    """Find the codes of single fields, with their sentences."""
    return {
        **{code: sentence for code, sentence in WORDS.values() if "{" not in sentence},
        **_general(),
        **OWN_WORDS,
        **dict(_written_flaws(Path(parlor.core.__path__[0]))),
    }


def page() -> str:
    """Write `docs/problems.md`."""
    kinds = sorted(all_codes().items(), key=lambda item: (status_of(item[1]), item[0]))
    problems = "".join(f"| {status_of(kind)} | `{code}` | {_meaning(kind)} |\n" for code, kind in kinds)
    flaws = "".join(f"| `{code}` | {sentence} |\n" for code, sentence in sorted(flaw_codes().items()))
    return INTRO + problems + FLAWS + flaws


def _meaning(kind: type[ParlorError]) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _kinds(base: type[ParlorError]) -> Iterator[type[ParlorError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def _general() -> dict[str, str]:
    """Say what the table says of one field at a time for all of them."""
    return {
        "wrong_type": "This must be of another type.",
        "out_of_range": "This number is too small or too large.",
        "too_short": "This is too short.",
        "too_long": "This is too long.",
        "not_allowed": "This must be one of the listed words.",
    }


def _written_flaws(folder: Path) -> Iterator[tuple[str, str]]:
    """Read `Flaw(pointer, "code", "sentence")` where it is written out."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Flaw":
                words = [arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)]
                if len(words) == 2:  # noqa: PLR2004 - the code and the sentence
                    yield str(words[0]), str(words[1])


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - its purpose
