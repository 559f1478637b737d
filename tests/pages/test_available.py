"""Pages with something to show: of tables, and of the presets' lists."""

from pathlib import Path

import pandas as pd
import pytest
from tests.architecture.imports import SOURCE

from normlab.analysis.projection import PARTS
from normlab.pages.available import SHOWN, available
from normlab.pages.shell import PAGES
from normlab.specs.study import StudySpec, read_study

PRESETS = sorted((SOURCE.parent / "presets").glob("*.yaml"))


def tables(folder: Path, *rows: tuple[str, str, str]) -> Path:
    frame = pd.DataFrame(rows, columns=["study", "probe", "norm_layer"])
    frame.assign(value=1.0).to_parquet(folder / "measurements.parquet", index=False)
    return folder


def test_a_page_is_there_where_its_study_has_rows(tmp_path: Path) -> None:
    assert set(SHOWN) < set(PAGES)
    plain = tables(tmp_path, ("vgg", "history", "none"), ("vgg", "landscape", "none"), ("dln", "shift", "none"))
    there = ["01-training", "02-landscape", "05-normalizers", "06-deep-linear", "08-probe-your-own-model"]
    assert available(plain, "vgg", PAGES) == tuple(there)
    assert available(plain, "resnet", ["01-training", "06-deep-linear"]) == ("06-deep-linear",)
    assert available(plain, "vgg", ["my-own", "09-projection"]) == ("my-own",)


def test_the_projection_has_a_page_where_a_part_of_the_backward_pass_was_left_out(tmp_path: Path) -> None:
    assert available(tables(tmp_path, ("vgg", "history", "batch_detached")), "vgg", ["09-projection"])


@pytest.mark.parametrize("rows", [0, 1])
def test_the_theory_has_a_page_where_statements_were_tried(tmp_path: Path, rows: int) -> None:
    folder = tables(tmp_path, ("vgg", "history", "none"))
    pd.DataFrame({"value": [1.0] * rows}).to_parquet(folder / "theory.parquet")
    assert len(available(folder, "vgg", ["07-theory"])) == rows


def planned(study: StudySpec, folder: Path) -> Path:
    """Tables with the rows that a parameter file plans."""
    runs = study.runs if "training" in study.analyze.studies else []
    rows = [
        ("vgg", probe, run.norm_layer) for run in runs for probe in ("history", "landscape", "shift", "activations")
    ]
    other = [(name, "history", "none") for name in study.analyze.studies if name != "training"]
    return tables(folder, *rows, *other)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_names_no_page_that_would_be_empty(path: Path, tmp_path: Path) -> None:
    study = read_study(path)
    assert available(planned(study, tmp_path), "vgg", study.report.notebooks) == study.report.notebooks
    if {run.norm_layer for run in study.runs} & set(PARTS):
        assert "09-projection" in study.report.notebooks
