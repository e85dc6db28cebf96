"""JSON Schemas as the document holds them: each by its name under `components`, and what refers to them."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

AT = "#/components/schemas/"
LOCAL = "#/$defs/"


def reference(kind: str, name: str) -> Json:
    """Refer to something under `components`."""
    return {"$ref": f"#/components/{kind}/{name}"}


def lifted(name: str, schema: Mapping[str, Any]) -> dict[str, Json]:
    """Give a schema a name, and those that it defines for itself names below that one: no document nests them."""
    inner = schema.get("$defs", {})
    outer = {key: value for key, value in schema.items() if key != "$defs"}
    return {
        name: _renamed(outer, name),
        **{f"{name}.{each}": _renamed(defined, name) for each, defined in inner.items()},
    }


def _renamed(value: Any, name: str) -> Any:
    match value:
        case {"$ref": str(target)} if target.startswith(LOCAL):
            return value | {"$ref": f"{AT}{name}.{target.removeprefix(LOCAL)}"}
        case dict():
            return {key: _renamed(each, name) for key, each in value.items()}
        case list():
            return [_renamed(each, name) for each in value]
        case _:
            return value
