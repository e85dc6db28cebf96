"""Reading the documents: their blocks, links, headings and commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str


def pages() -> list[Path]:
    """Find every document that people read."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def blocks(page: Path, *languages: str, section: str | None = None) -> list[Block]:
    """Find the fenced blocks of a page, or of the section under one of its headings."""
    text = page.read_text()
    if section is not None:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [Block(match["language"], match["text"]) for match in FENCE.finditer(text)]
    return [block for block in found if block.language in languages or not languages]


def links(page: Path) -> list[str]:
    """Find where a page links to inside the repository: path, or path and anchor."""
    targets = [match["target"] for match in LINK.finditer(FENCE.sub("", page.read_text()))]
    return [target for target in targets if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """Name a page's headings as links do."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(page.read_text()))
    return {title.strip().replace(" ", "-") for title in titles}


def commands(page: Path) -> Iterator[str]:
    """Find what is shown as typed: lines of shell blocks, and code within the text."""
    text = page.read_text()
    for block in blocks(page, "sh", "bash"):
        yield from (line.split(" #")[0].strip() for line in block.text.splitlines())
    yield from CODE.findall(FENCE.sub("", text))


def tree(block: Block) -> Iterator[str]:
    """Read the paths of a drawn tree: folders end in a slash, what follows two spaces is told about them."""
    above: list[tuple[int, str]] = []
    for line in block.text.splitlines():
        depth = len(line) - len(line.lstrip())
        names = re.split(r" {2,}", line.strip())[0].split()
        above = [(other, name) for other, name in above if other < depth]
        prefix = "".join(name for _, name in above)
        yield from (prefix + name for name in names)
        if names and names[0].endswith("/"):
            above.append((depth, names[0]))
