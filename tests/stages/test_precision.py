"""A block of the grid with `precision: bf16`, from the parameter file to the section of the page."""

import json
import shlex
from pathlib import Path

import pytest
from tests import tiny

from normlab.pages.precision import precision_comparison
from normlab.pages.results import Results
from normlab.specs.expansion import expand
from normlab.specs.grid import planned_runs
from normlab.specs.strict import load_params
from normlab.specs.study import read_study
from normlab.stages import probe, train
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine, write_table
from normlab.tables.stage_outputs import read_training_study

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).parents[2]
TRAIN = "width: 0.0625, batch_size: 16, steps: 6, test_every: 3, checkpoint_every: 2, precision_forced: true"


def write_params(path: Path) -> None:
    """The quick preset with a tiny grid in both arithmetics; forced, because not every processor has bf16."""
    text = (ROOT / "presets/quick.yaml").read_text()
    block = "{network: [vgg11], norm_layer: [batch], learning_rate: [1.0e-1], seed: [0, 1], precision: [float32, bf16]}"
    before, _, rest = text.partition("grid:")
    after = rest[rest.index("probe:") :]
    for old, new in (("steps: [0, 200]", "steps: [0]"), ("norm_layer: [none]  #", "norm_layer: []  #")):
        assert old in after
        after = after.replace(old, new, 1)
    path.write_text(f"{before}grid: [{block}]\n\ntrain: {{{TRAIN}}}\n\n{after}")


def test_a_block_in_bf16_goes_through_to_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path / "params.yaml")
    tiny.write_data(tmp_path / "data/prepared")
    entries = expand(read_study("params.yaml"), ROOT).entries["runs"]
    assert list(entries)[:2] == ["vgg11-batch-0.1-0", "vgg11-batch-0.1-1"]
    assert list(entries)[2:] == ["vgg11-batch-0.1-0-precision=bf16", "vgg11-batch-0.1-1-precision=bf16"]
    for name, entry in entries.items():
        train.main([*shlex.split(entry["train"]), "--out", f"models/runs/{name}"])
        probe.main([*shlex.split(entry["read"]), "--out", f"data/probes/{name}"])
    runs = [planned.spec for planned in planned_runs(load_params("params.yaml"))]
    measurements, histograms = read_training_study(runs, Path("models/runs"), Path("data/probes"))
    write_table(combine(measurements), Path("tables/measurements.parquet"))
    write_table(combine(histograms, HISTOGRAM_COLUMNS), Path("tables/histograms.parquet"))
    losses = combine(measurements).query("probe == 'history' and quantity == 'loss' and step == 5")
    assert losses["value"].nunique() == 4  # neither seed nor arithmetic is without effect
    Path("claims.json").write_text("[]")
    Path("manifest.json").write_text(json.dumps({"title": "tiny"}))
    lines = repr(
        precision_comparison(Results.load("tables", "claims.json", "params.yaml", "manifest.json"))
    ).splitlines()
    assert any(line.startswith("BatchNorm, bf16: early") or "first 40 %" in line for line in lines)
    assert (
        lines[-1] == "BatchNorm, bf16, against float32: the same within the seeds' spread: undecided; 2 seeds in both."
    )
