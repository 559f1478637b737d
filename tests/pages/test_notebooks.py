"""The pages' cells, run one after another in this process on invented results."""

import ast
import base64
import gzip
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from tests.architecture.imports import SOURCE

from normlab.pages.front import first_pictures
from normlab.pages.results import Results
from normlab.records.drawings import DRAWINGS, TABLED, TOLD

NOTEBOOKS = {path.stem: path for path in sorted((SOURCE.parent / "notebooks").glob("*.ipynb"))}
# interactive figures on each page
LIVE = {
    "01-training": 1,
    "02-landscape": 1,
    "03-covariate-shift": 1,
    "04-activations": 1,
    "05-normalizers": 1,
    "06-deep-linear": 2,
    "07-theory": 0,
}
LIVE_DATA = r'<script type="application/json\+gzip">(.*?)</script>'
STUDIES = [name for name in NOTEBOOKS if not name.startswith("08")]
CLAIMED = [name for name in STUDIES if not name.startswith("09")]  # no claim of the paper is decided on that page


def live_data(packed: str) -> dict:
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def run(path: Path, parameters: dict[str, str]) -> list[str]:
    """What the cells show, as HTML."""
    space: dict = {}
    shown = []
    for cell in code_cells(path):
        body = ast.parse(cell.source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), str(path), "exec"), space)
        if "parameters" in cell.metadata.get("tags", []):
            space.update(parameters)
        if last is not None:
            result = eval(compile(ast.Expression(last.value), str(path), "eval"), space)
            if result is not None:  # of which a notebook shows nothing
                shown.append(result._repr_html_())
    return shown


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_one_cell_holds_the_parameters(name: str) -> None:
    tagged = [cell for cell in code_cells(NOTEBOOKS[name]) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    if name in STUDIES:
        assert [line.split(" =")[0] for line in tagged[0].source.splitlines()] == [
            "tables",
            "claims",
            "params",
            "manifest",
        ]


@pytest.mark.parametrize("name", CLAIMED)
def test_a_page_shows_its_pictures_verdicts_and_caveats(name: str, paths: dict[str, str]) -> None:
    shown = run(NOTEBOOKS[name], paths)
    pictures = [text for text in shown if text.startswith('<figure id="figure-')]
    absent = [
        text for text in shown if text.startswith('<p class="absent"')
    ]  # such as the statements, which were not run
    assert pictures
    assert len(pictures) + len(absent) >= 2
    assert all("<figcaption><strong>" in text for text in pictures)
    for text in pictures:
        linked = re.findall(r"Computed by .*</small></figcaption>", text)
        assert len(linked) == 1, text.partition("<figcaption>")[2]
        files = re.findall(r'href="\.\./\.\./([^"]+)"', linked[0])
        assert files
        assert all((SOURCE.parent / file).is_file() for file in files)
    cards = [text for text in shown if 'class="claim"' in text]  # the fixture has one claim a page
    assert len(cards) == 1
    assert "Computed by <a href=" in cards[0]
    assert shown[-1].startswith("<ul>")
    lives = [live_data(found) for text in pictures for found in re.findall(LIVE_DATA, text)]
    assert len(lives) == LIVE[name]
    assert all(len(live["runs"]) >= 4 and live["shown"] for live in lives)
    captions = " ".join(text.partition("<figcaption>")[2] for text in pictures)
    assert "Non-finite values (inf, NaN) are triangles" in captions


@pytest.mark.parametrize("start", ["", "notebooks"])
def test_a_notebook_finds_the_results_from_the_root_and_from_its_own_folder(
    start: str, paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parameter in ast.parse(code_cells(NOTEBOOKS["07-theory"])[0].source).body:
        assert isinstance(parameter, ast.Assign)
        name, default = parameter.targets[0].id, ast.literal_eval(parameter.value)  # type: ignore[attr-defined]
        (tmp_path / default).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / default).symlink_to(Path(paths[name]).resolve())
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / start)
    assert any(text.startswith("<figure id=") for text in run(NOTEBOOKS["07-theory"], {}))


@pytest.mark.parametrize("name", CLAIMED)
def test_sections_come_in_the_order_of_a_paper(name: str) -> None:
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    places = [
        text.index(f"## {title}") for title in ("Question", "What was measured", "What it says", "Verdicts", "Caveats")
    ]
    assert places == sorted(places)


def test_the_ablation_says_so_where_it_was_not_run(paths: dict[str, str]) -> None:
    text = " ".join(run(NOTEBOOKS["09-projection"], paths))
    assert "<figure " not in text
    assert text.count('<p class="absent"') == 2
    assert "Not run here" in text
    results = Results.load(**paths)
    assert DRAWINGS["projection"](results) is None
    assert TOLD["projection"](results) == TABLED["projection"](results) == ""


def _check_the_table(text: str) -> None:
    """A row a learning rate and normalizer; what was not measured is a dash, what is not finite is explained below."""
    table, _, below = text.partition("\n\n")
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert head[:3] == ["rate", "normalizer", "train accuracy at the end"]
    assert all(len(row) == len(head) for row in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    first = [row[1] for row in rows if row[0] == "0.1"]
    assert first == ["none (plain)", "BatchNorm", "μ detached", "σ detached"]
    assert {row[head.index("share along 1 (μ's part)")] for row in rows} == {"–"}  # the small study has no such probe
    assert below.startswith("Median over seeds [least – greatest seed].")
    assert ("∞" in table) == ("”, ∞: never reached" in below)


def test_the_ablation_answers_from_its_runs(paths: dict[str, str], tmp_path: Path) -> None:
    tables = Path(shutil.copytree(paths["tables"], tmp_path / "tables"))
    frame = pd.read_parquet(tables / "measurements.parquet")
    frame = frame[frame["study"] == "vgg"].astype({"norm_layer": str})
    kinds = {"noisy_batch": "batch_detached_mean", "l1": "batch_detached_variance"}
    apart = (frame["norm_layer"] == "l1") & (frame["quantity"] == "train_accuracy")  # by a little else in every seed
    frame["value"] += np.where(apart, 0.01 * frame["seed"], 0.0)
    frame.replace({"norm_layer": kinds}).to_parquet(tables / "measurements.parquet", index=False)
    text = " ".join(run(NOTEBOOKS["09-projection"], {**paths, "tables": str(tables)}))
    assert "Learning rate 0.1: BatchNorm ends at" in text
    assert "without both not run" in text
    assert re.search(r"costs more .*, by learning rate: .*; (μ|σ)&#x27;s at 0\.5, by \+[^()]*\.</li>", text)
    assert "Trains at all (more than 20 % in every seed): none (plain) at 0.1, 0.5; BatchNorm at" in text
    results = Results.load(**{**paths, "tables": str(tables)})  # a record's page and first page say the same
    told = TOLD["projection"](results)
    assert told.startswith("- Which of the two parts costs more train accuracy when it is left out, by learning rate: ")
    assert [line.partition(":")[0] for line in told.splitlines()[1:3]] == ["- Learning rate 0.1", "- Learning rate 0.5"]
    _check_the_table(TABLED["projection"](results))
    figure = DRAWINGS["projection"](results)
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["learning rate 0.1", "learning rate 0.5", "at the end"]
    ablation = results.measurements("vgg", probe=["history", "curvature"])
    ablation.to_parquet(tables / "measurements.parquet", index=False)  # without a landscape it comes before Figure 5(b)
    shown = first_pictures(Results.load(**{**paths, "tables": str(tables)}))
    assert len(shown) == 2
    assert "Train accuracy by learning rate" in shown[1]
    assert "Learning rate 0.5: BatchNorm ends at" in shown[1]
    (first, _) = first_pictures(Results.load(**{**paths, "tables": str(tables)}), own=["projection"])
    assert first == shown[1]  # of a record whose own study it is
