"""Pages that the index does not name, so that none is lost."""

from pathlib import Path

DOCS = Path(__file__).parents[1]


def other_pages() -> str:
    """A table of contents of the pages that index.md does not name, or nothing."""
    named = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    pages = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")
    left = [page for page in pages if page not in named]
    if not left:
        return ""
    return "\n".join(["```{toctree}", ":caption: In a lab", ":maxdepth: 1", "", *left, "```"])
