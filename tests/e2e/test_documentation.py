"""The documentation shows only documents that are examples, and no link in it leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "examples").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SOURCE = re.compile(r'(?:src|href)="([^"]+)"')


def blocks(page: str) -> list[str]:
    """The YAML blocks of a page that are whole documents."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for block in found if "apiVersion:" in block]


def links(page: str) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    yield from (link for pattern in (_LINK, _SOURCE) for link in pattern.findall(text))


def anchors(path: Path) -> set[str]:
    """The names of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: str) -> Iterator[str]:
    for link in links(page):
        if re.match(r"^[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if not target.exists():
            yield f"{link}: {target} does not exist"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: there is no heading {anchor}"


@pytest.mark.parametrize("page", NAMES)
def test_every_document_in_the_documentation_is_an_example(page: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.yaml")]
    for block in blocks(page):
        assert any(block in text for text in texts), f"this document is no example:\n{block}"


@pytest.mark.parametrize("page", NAMES)
def test_no_link_leads_nowhere(page: str) -> None:
    assert not list(broken(page))


def test_every_page_of_the_documentation_is_linked_from_its_index() -> None:
    """A page that nobody finds might as well not be there."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links("docs/index.md")}
    pages = {path.resolve() for path in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert pages <= linked
