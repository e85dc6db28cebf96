"""The console is loaded by the process that serves it only: no other has a use for sqladmin and Jinja."""

import ast

from tests.architecture.source import PACKAGE, modules

HOME = "parlor.entrypoints.admin"


def test_nothing_imports_it_while_modules_are_loaded() -> None:
    outside = [path for path in modules() if "admin" not in path.relative_to(PACKAGE).parts]
    assert [str(path.relative_to(PACKAGE)) for path in outside if loads(path.read_text())] == []


def test_what_loads_it_is_seen() -> None:
    assert loads(f"from {HOME}.app import install_console")
    assert loads("import sqladmin")
    assert not loads(f"def later():\n    from {HOME}.app import install_console")


def loads(code: str) -> bool:
    """Whether one of the statements that run when the module is loaded imports it."""
    found = {
        name
        for node in ast.parse(code).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    return any(name.startswith((HOME, "sqladmin")) for name in found)
