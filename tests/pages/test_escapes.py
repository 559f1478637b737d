"""Whatever a settings file, a data set or a table of results holds, a page shows it as text and runs none of it."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.pages.study import CLAIMS, MANIFEST, write_results

from normlab.pages.front import front
from normlab.pages.markdown import markdown_table
from normlab.pages.results import Results
from normlab.pages.shell import Shows, page
from normlab.rerun import Difference, summary

HOSTILE = "<script>alert(1)</script>\" onmouseover='x' | `a` $x$"


def _poisoned(value: Any) -> Any:
    """The same structure with `HOSTILE` at the end of every text, but for words that the program itself looks up."""
    if isinstance(value, dict):
        fixed = ("id", "verdict", "page", "source", "digest")
        return {key: entry if key in fixed else _poisoned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_poisoned(entry) for entry in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers = 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        ours = [("src", "normlab.js"), ("type", "application/json+gzip"), ("type", "text/csv+gzip")]
        self.scripts += tag == "script" and not {*attrs} & {*ours}
        self.handlers += sum(name.startswith("on") for name, _ in attrs)


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, str]:
    paths = write_results(tmp_path)
    # what was not run is a line without the claim's texts: all were
    run = [{**one, "verdict": "undecided"} if one["verdict"] == "not run" else one for one in CLAIMS]
    Path(paths["claims"]).write_text(json.dumps(_poisoned(run)))
    Path(paths["manifest"]).write_text(json.dumps(_poisoned(MANIFEST)))
    return paths


def test_the_index_shows_settings_and_results_as_text(hostile: dict[str, str]) -> None:
    results = Results.load(hostile["tables"], hostile["claims"], hostile["params"], hostile["manifest"])
    text = page("t", front(results, ["01-training"]), "index", Shows(f"tiny{HOSTILE}", "Preset"))
    seen = _Tags()
    seen.feed(text)
    assert (seen.scripts, seen.handlers) == (0, 0)
    assert text.count("&lt;script&gt;") == text.count("alert(1)") > 20


def test_tables_in_markdown_keep_their_columns() -> None:
    row = markdown_table(["a", "b"], [[HOSTILE, "two\nlines"]]).splitlines()[2]
    assert row.replace("\\|", "").count("|") == 3
    assert row.endswith("| two lines |")
    text = summary("x", True, [Difference("a|b", "c|d", "e", None)], [])
    (row,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert row.replace("\\|", "").count("|") == 5
