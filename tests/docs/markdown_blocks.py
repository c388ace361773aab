"""Code blocks of Markdown pages, with the line before that says what they are."""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(r"^(\s*)```(\S*)\s*$")


@dataclass(frozen=True)
class Block:
    """One block: its page and line, language, text, and the last line of text above it."""

    page: str
    line: int
    language: str
    text: str
    above: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """README, CONTRIBUTING and all pages of the site."""
    docs = sorted((REPOSITORY / "docs").glob("*.md"))
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *docs]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found, above, opened = [], "", None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened = (number, fence[2], len(fence[1]), [])
        elif opened is not None and fence and not fence[2]:
            start, language, indent, lines = opened
            text = "\n".join(one[indent:] for one in lines) + "\n"
            found.append(Block(page.name, start, language, text, above))
            opened, above = None, ""
        elif opened is not None:
            opened[3].append(line)
        elif line.strip():
            above = line.strip()
    return found
