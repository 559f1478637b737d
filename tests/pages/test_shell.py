import re
from pathlib import Path

import pytest
from tests.architecture.imports import SOURCE

from normlab.pages.shell import PAGES, Shows, page, with_contents, write_page
from normlab.specs.strict import load_params

ROOT = SOURCE.parent
TINY = Shows("tiny", "Preset")


def test_every_notebook_is_a_page() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(PAGES)


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_names_itself_and_known_pages(preset: str) -> None:
    section = load_params(ROOT / "presets" / f"{preset}.yaml")["report"]
    assert section["preset"] == preset
    assert set(section["notebooks"]) <= set(PAGES)


def test_the_navigation_leads_to_every_page_and_marks_the_current_one() -> None:
    text = page("Title <x>", "<p>body</p>", "02-landscape", TINY)
    assert re.findall(r'href="([^#"][^"]*)"', text) == ["index.html", *(f"{name}.html" for name in PAGES)]
    assert re.findall(r'href="([^"]+)" aria-current=page', text) == ["02-landscape.html"]
    assert "<title>Title &lt;x&gt; · normlab, tiny</title>" in text
    assert 'name="viewport"' in text


def test_the_navigation_names_the_pages_that_there_are_and_one_s_own() -> None:
    text = page("t", "<p>body</p>", "my-own", Shows("tiny", "Preset", pages=("02-landscape", "my-own")))
    links = re.findall(r'href="(?!#)([^"]+)"[^>]*>([^<]+)', text)
    assert links == [("index.html", "All claims"), ("02-landscape.html", "Landscape"), ("my-own.html", "my-own")]


def test_the_switch_for_code_is_there_only_if_there_is_code() -> None:
    assert "show-code" in page("t", '<div class="code">x</div>', "index", TINY).partition("<nav")[2]
    assert "show-code" not in page("t", "<p>x</p>", "index", TINY).partition("<nav")[2]


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page("t", "<p>x</p>", "index", TINY)
    assert re.findall(r"<script[^>]*>", text) == ['<script defer src="normlab.js">']
    assert not re.search(r"https?://|@import|url\(|<link", text)


def test_a_page_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "html" / "a.html"
    write_page(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "\ud800")
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.html"]


def test_every_page_says_which_record_it_shows_and_leads_to_the_others() -> None:
    record = Shows("big", "Record", (("small", "../small/index.html"),), script="../normlab.js")
    head = page("t", "<p>x</p>", "index", record).partition("<nav")[0]
    assert "Record <strong>big</strong>" in head
    assert 'src="../normlab.js"' in head
    assert '<a href="../small/index.html">small</a>' in head
    assert "Other records" not in page("t", "<p>x</p>", "index", TINY)
    assert "<nav" not in page("t", "<p>x</p>", "index", Shows("old", "Record", one_page=True))


def test_every_section_has_an_anchor_and_long_pages_have_contents() -> None:
    body, contents = with_contents('<h2>First β: a</h2><h2 id="own">Second</h2><h2 class="x">Third <code>c</code></h2>')
    assert re.findall(r'<h2 id="([^"]+)"', body) == ["first-a", "own", "third-c"]
    assert re.findall(r'href="#([^"]+)">([^<]+)<', contents) == [
        ("first-a", "First β: a"),
        ("own", "Second"),
        ("third-c", "Third c"),
    ]
    assert with_contents("<h2>One</h2>")[1] == ""


def test_contents_have_the_figures_below_their_section() -> None:
    figure = '<figure id="figure-4"><img>\n<figcaption><strong>Loss (Figure 4).</strong> a</figcaption></figure>'
    _, contents = with_contents(f"<h2>One</h2><p>x</p>{figure}<h2>Two</h2>")
    assert re.findall(r'class="(\w+)"><a href="#([^"]+)">', contents) == [
        ("section", "one"),
        ("picture", "figure-4"),
        ("section", "two"),
    ]
