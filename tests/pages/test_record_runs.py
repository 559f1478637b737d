"""What a record says of its runs: cells that are equally far are named together."""

import json
from pathlib import Path

from tests.architecture.imports import SOURCE

from normlab.pages.record_runs import here_and_missing, runs_table
from normlab.pages.records import Record
from normlab.specs.grid import planned_runs
from normlab.specs.strict import load_params

PRESET = SOURCE.parent / "presets" / "quick.yaml"


def _said(folder: Path, finished: list[str]) -> list[str]:
    """What is said of a grid of two normalizers, two rates and two seeds of which the runs `finished` are there."""
    text = PRESET.read_text(encoding="utf-8")
    before, _, after = text.partition("\ngrid:")
    rest = after[after.index("\ntrain:") :]
    grid = "[{network: [vgg11], norm_layer: [none, batch], learning_rate: [0.1, 0.03], seed: [0, 1]}]"
    (folder / "params.yaml").write_text(f"{before}\ngrid: {grid}\n{rest}", encoding="utf-8")
    runs = [f"runs/{run.spec.name}" for run in planned_runs(load_params(folder / "params.yaml"))]
    assert set(finished) < set(runs)
    manifest = {
        "planned": len(runs),
        "finished": {name: {"seconds": 1800.0 if "batch" in name else 1350.0} for name in finished},
        "missing": [name for name in runs if name not in finished],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return here_and_missing(Record(folder))


def test_rates_of_a_normalizer_and_normalizers_alike_are_named_once(tmp_path: Path) -> None:
    assert _said(tmp_path, []) == ["Not run yet: vgg11 none (plain), BatchNorm at 0.1, 0.03."]


def test_cells_with_as_many_seeds_are_named_together(tmp_path: Path) -> None:
    here = ["runs/vgg11-none-0.1-0", "runs/vgg11-none-0.03-1", "runs/vgg11-batch-0.1-0", "runs/vgg11-batch-0.1-1"]
    assert _said(tmp_path, here) == [
        "Finished: vgg11 none (plain) at 0.1, 0.03 (1 of 2 seeds each); vgg11 BatchNorm at 0.1 (2 of 2 seeds).",
        "Not run yet: vgg11 BatchNorm at 0.03.",
    ]


def test_the_same_seeds_of_two_normalizers_at_one_rate(tmp_path: Path) -> None:
    here = ["runs/vgg11-none-0.1-0", "runs/vgg11-batch-0.1-0"]
    assert _said(tmp_path, here) == [
        "Finished: vgg11 none (plain), BatchNorm at 0.1 (1 of 2 seeds each).",
        "Not run yet: vgg11 none (plain), BatchNorm at 0.03.",
    ]


def test_the_table_has_a_row_for_rates_that_are_equally_far(tmp_path: Path) -> None:
    here = ["runs/vgg11-none-0.1-0", "runs/vgg11-none-0.03-1", "runs/vgg11-batch-0.1-0", "runs/vgg11-batch-0.1-1"]
    _said(tmp_path, here)
    lines = "\n".join(runs_table(Record(tmp_path))).splitlines()
    assert lines[2:5] == [
        "| vgg11 | none | 0.1, 0.03 |  | 1 of 2 each | 0.75 |",
        "| vgg11 | batch | 0.1 |  | 2 of 2 | 1.00 |",
        "| vgg11 | batch | 0.03 |  | 0 of 2 | – |",
    ]
