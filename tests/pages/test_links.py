"""Every link of README and records leads somewhere for a reader who sees what is in Git, and nothing else."""

import re
import subprocess
from pathlib import Path

import pytest

from normlab.pages.readme import shown_record
from normlab.pages.record_page import anchor

Page = tuple[Path, str]  # a file in Git and an anchor on it


@pytest.fixture(scope="module")
def tracked(repository: Path) -> set[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True)
    return {repository / name for name in done.stdout.split("\0") if name}


@pytest.fixture(scope="module")
def pages(tracked: set[Path], repository: Path) -> list[Path]:
    """All Markdown that people read: at the root, in the records, in docs/."""
    places = (repository, repository / "reports" / "published", repository / "docs")
    return sorted(
        path
        for path in tracked
        if path.suffix == ".md" and (path.parent == repository or {*places[1:]} & {*path.parents})
    )


def prose(path: Path) -> str:
    """A page's text without blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    """What GitHub lets a link point to on a page of Markdown: its headings; a repeated one gets -1, -2, …"""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+?)#*$", prose(path), flags=re.M):
        name = anchor(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading))
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return set(found)


def links(path: Path) -> list[str]:
    """The targets of links and pictures, as they are written."""
    text = re.sub(r"`[^`\n]*`(?!\])", "", prose(path))
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", text)
    return inline + re.findall(r"""<(?:a|img)\b[^>]*?(?:href|src)=["']([^"']+)""", text)


def target(page: Path, link: str) -> Page:
    place, _, name = link.partition("#")
    return (page.parent / place).resolve() if place else page, name


def test_links_lead_to_files_in_git_and_to_headings_on_them(pages: list[Path], tracked: set[Path]) -> None:
    folders = {folder for path in tracked for folder in path.parents}
    broken = []
    for page in pages:
        for link in links(page):
            if re.match(r"[a-z]+:", link):
                continue
            file, name = target(page, link)
            known = file in tracked or file in folders
            if not known or (name and name not in anchors(file)):
                broken.append(f"{page.name}: {link}")
    assert not broken


def test_no_link_leads_to_pages_that_are_not_in_git(pages: list[Path]) -> None:
    assert not [link for page in pages for link in links(page) if "reports/html" in link]


def test_no_page_advises_to_push_where_there_is_no_remote(pages: list[Path], repository: Path) -> None:
    remote = "url =" in (repository / ".dvc" / "config").read_text()
    assert remote or not [page for page in pages if re.search(r"dvc push(?! needs)", page.read_text())]


@pytest.mark.parametrize("name", ["figure-4", "c9"])
def test_figure_4_and_c9_of_the_record_are_two_links_from_the_readme(repository: Path, name: str) -> None:
    readme = repository / "README.md"
    wanted = (
        readme.parent / "reports" / "published" / shown_record(readme.read_text(), repository) / "README.md",
        name,
    )
    first = {target(readme, link) for link in links(readme) if not re.match(r"[a-z]+:", link)}
    second = {
        target(page, link)
        for page, _ in first
        if page.suffix == ".md"
        for link in links(page)
        if not re.match(r"[a-z]+:", link)
    }
    assert wanted in first | second
    assert name in anchors(wanted[0])


def test_the_links_of_a_page_are_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        '# A `b` (c): d\n## A b c d\n[x](y.md#z) ![p](q.png "title") `[no](no.md)` [`f`](g.py)\n'
        '```\n[no](no.md)\n```\n<img src="i.png">\n'
    )
    assert links(page) == ["y.md#z", "q.png", "g.py", "i.png"]
    assert anchors(page) == {"a-b-c-d", "a-b-c-d-1"}
