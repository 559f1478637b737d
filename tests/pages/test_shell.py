import re
from pathlib import Path

import pytest
from tests.architecture.imports import SOURCE

from normlab.pages.shell import PAGES, page, write_page
from normlab.specs.strict import load_params

ROOT = SOURCE.parent


def test_every_notebook_is_a_page() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(PAGES)


@pytest.mark.parametrize("preset", ["quick", "cifar-cpu", "paper"])
def test_every_preset_names_itself_and_known_pages(preset: str) -> None:
    section = load_params(ROOT / "presets" / f"{preset}.yaml")["report"]
    assert section["preset"] == preset
    assert set(section["notebooks"]) <= set(PAGES)


def test_the_navigation_leads_to_every_page_and_marks_the_current_one() -> None:
    text = page("Title <x>", "<p>body</p>", "02-landscape")
    assert re.findall(r'href="([^"]+)"', text) == ["index.html", *(f"{name}.html" for name in PAGES)]
    assert re.findall(r'href="([^"]+)" aria-current=page', text) == ["02-landscape.html"]
    assert "<title>Title &lt;x&gt; · normlab</title>" in text
    assert 'name="viewport"' in text


def test_the_switch_for_code_is_there_only_if_there_is_code() -> None:
    assert "show-code" in page("t", '<div class="code">x</div>', "index").partition("<nav")[2]
    assert "show-code" not in page("t", "<p>x</p>", "index").partition("<nav")[2]


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page("t", "<p>x</p>", "index")
    assert not re.search(r"https?://|@import|url\(|<script|<link", text)


def test_a_page_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "html" / "a.html"
    write_page(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "\ud800")
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.html"]
