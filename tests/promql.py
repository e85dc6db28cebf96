"""Reading PromQL as far as it names things: metrics, and the labels that are asked of them."""

import re
from collections.abc import Iterator

TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
MATCHERS = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^{}]*)\}")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
RANGE = re.compile(r"\[[^\[\]]*\]")
NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()")
WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on", "ignoring"})


def metrics_of(expression: str) -> set[str]:
    """Find the names of the metrics."""
    bare = RANGE.sub("", GROUPING.sub("", re.sub(r"\{[^{}]*\}", "", TEXT.sub("", expression))))
    return {name for name in NAME.findall(bare) if name.lower() not in WORDS}


def labels_of(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Find the labels that are matched, each with its metric."""
    for name, matchers in MATCHERS.findall(TEXT.sub('""', expression)):
        if name:
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def groupings_of(expression: str) -> set[str]:
    """Find the labels that are grouped by."""
    return {label.strip() for found in GROUPING.findall(expression) for label in found.split(",")}
