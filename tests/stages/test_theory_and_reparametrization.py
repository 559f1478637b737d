"""The stage programs theory, assumptions and reparametrization on tiny trained runs, one of which diverged."""

import contextlib
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from tests import tiny

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from normlab.specs.strict import InputError
from normlab.stages import assumptions, command, reparametrization, theory, train
from normlab.studies.statements.table import COLUMNS as THEORY_COLUMNS
from normlab.tables.rows import COLUMNS

pytestmark = pytest.mark.pipeline

PLAIN, BATCH = "vgg11-none-0.1-0", "vgg11-batch-0.1-0"
SECTIONS = """
theory: {cases: 4, samples: [4], seeds: [0, 1]}
assumptions: {norm_layer: [batch], steps: [0, 4], layers: 2, units: 2}
reparametrization: {norm_layer: [none], steps: [0, 4], step_sizes: [0.5, 2.0], distances: [0.1], learned_affine: true}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both runs were trained."""
    root = tmp_path_factory.mktemp("study")
    tiny.write_data(root / "data/prepared")
    (root / "params.yaml").write_text(tiny.PARAMS + SECTIONS)
    with contextlib.chdir(root):
        for kind in ("none", "batch"):
            point = ["--network", "vgg11", "--norm-layer", kind, "--learning-rate", "0.1", "--seed", "0"]
            train.main([*point, "--out", f"models/runs/vgg11-{kind}-0.1-0"])
    return root


@pytest.fixture
def here(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(study)
    return study


def test_theory_tables(here: Path, tmp_path: Path):
    for name in ("a", "b"):
        theory.main(["--out", str(tmp_path / name)])
        assumptions.main(["--run", f"models/runs/{BATCH}", "--out", str(tmp_path / name / BATCH)])
    for path in ("random.parquet", f"{BATCH}/checkpoints.parquet"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    random = pd.read_parquet(tmp_path / "a/random.parquet")
    table = pd.read_parquet(tmp_path / f"a/{BATCH}/checkpoints.parquet")
    assert tuple(random.columns) == tuple(table.columns) == THEORY_COLUMNS
    assert set(table["layer"]) == {"features.norm1", "features.norm8"}
    assert set(table["step"]) == {0, 4}
    assert set(table["samples"]) == {16 * 32 * 32, 16 * 2 * 2}
    assert set(table["norm_layer"]) == {"batch"}
    quantities = set(zip(table["statement"], table["quantity"], strict=True))
    for quantity in ("overlap_positive", "curvature_v_nonnegative", "rayleigh_condition", "part_b_holds"):
        assert ("theorem_4_2", quantity) in quantities
    assert {("theorem_4_1", "gamma_at_most_sigma"), ("theorem_4_4", "weight_gradient_bound")} <= quantities
    wide = table.set_index(["quantity", "layer", "step"]).sort_index()
    assert (table.loc[table["quantity"] == "holds_corrected", "fraction"] == 1.0).all()
    assert (wide.loc["usable", "fraction"] == 1.0).all()
    # behind the last BatchNorm the head is piecewise linear with a convex loss
    assert (wide.loc[("curvature_v_nonnegative", "features.norm8"), "fraction"] == 1.0).all()
    assert wide.loc["kept_share", "value"].between(0.0, 1.0).all()


def test_reparametrization_table(here: Path, tmp_path: Path):
    for name in ("a", "b"):
        reparametrization.main(["--run", f"models/runs/{PLAIN}", "--out", str(tmp_path / name)])
    path = tmp_path / "a/measurements.parquet"
    assert path.read_bytes() == (tmp_path / "b/measurements.parquet").read_bytes()
    table = pd.read_parquet(path)
    assert tuple(table.columns) == COLUMNS
    assert set(table["study"]) == {"reparametrization"}
    assert set(table["norm_layer"]) == {"none", "batch", "batch_affine"}
    gaps = table[table["quantity"] == "function_gap"]
    assert len(gaps) == 4
    assert (gaps["value"] < 1e-10).all()
    summary = table[(table["probe"] == "landscape") & table["step_size"].isna()]
    loss = summary[summary["quantity"] == "loss"].pivot_table(index="step", columns="norm_layer", values="value")
    # the same function on the batch, up to rounding
    assert ((loss["batch"] - loss["none"]).abs() < 1e-10).all()
    assert ((loss["batch_affine"] - loss["none"]).abs() < 1e-10).all()
    beta = summary[summary["quantity"] == "effective_beta"].pivot_table(
        index="step", columns="norm_layer", values="value"
    )
    assert (beta > 0).all(axis=None)
    assert ((beta["batch"] - beta["none"]).abs() > 1e-6).all()  # another landscape
    assert {"landscape", "landscape_equal_distance", "curvature", "reparametrization"} == set(table["probe"])
    # gamma and beta are further directions of the walk
    norms = summary[summary["quantity"] == "grad_norm"].pivot_table(index="step", columns="norm_layer", values="value")
    assert (norms["batch_affine"] > norms["batch"]).all()


@pytest.mark.parametrize(("stage", "run"), [(assumptions, PLAIN), (reparametrization, BATCH)])
def test_a_run_with_another_normalizer_is_refused(here: Path, tmp_path: Path, stage, run: str):
    with pytest.raises(InputError, match=r"--run models/runs/vgg11-.*: expected a run with norm_layer .*, got "):
        stage.main(["--run", f"models/runs/{run}", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def _copy_run(study: Path, folder: Path, kind: str) -> Path:
    run = folder / f"vgg11-{kind}-0.1-0"
    source = study / "models/runs" / run.name
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        target = run / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return run


@pytest.mark.parametrize("broken", ["no checkpoint", "non-finite weights"])
def test_diverged_runs_are_recorded(here: Path, tmp_path: Path, broken: str):
    for kind in ("none", "batch"):
        run = _copy_run(here, tmp_path / "models", kind)
        path = checkpoint_path(run, 4)
        if broken == "no checkpoint":
            summary = json.loads((run / "summary.json").read_text())
            (run / "summary.json").write_text(json.dumps({**summary, "diverged_at": 2, "checkpoints": [0, 1, 2]}))
            path.unlink()
        else:
            saved = load_checkpoint(path)
            model = {
                name: value * math.inf if value.is_floating_point() else value for name, value in saved.model.items()
            }
            save_checkpoint(path, Checkpoint(saved.step, saved.spec, model, saved.optimizer))
    assumptions.main(["--run", str(tmp_path / "models" / BATCH), "--out", str(tmp_path / "assumptions")])
    table = pd.read_parquet(tmp_path / "assumptions/checkpoints.parquet")
    usable = table[table["quantity"] == "usable"].groupby("step")["fraction"].max()
    assert usable.to_dict() == {0: 1.0, 4: 0.0}
    assert set(table.loc[table["step"] == 4, "quantity"]) == {"usable"}
    reparametrization.main(["--run", str(tmp_path / "models" / PLAIN), "--out", str(tmp_path / "inserted")])
    table = pd.read_parquet(tmp_path / "inserted/measurements.parquet")
    late = table[table["step"] == 4]
    if broken == "no checkpoint":
        assert late[["norm_layer", "quantity", "value"]].to_numpy().tolist() == [["none", "diverged", 1.0]]
    else:
        assert late.loc[late["quantity"] == "loss", "value"].isna().all()
        assert late.loc[late["quantity"] == "function_gap", "value"].isna().all()


@pytest.mark.parametrize(("stage", "run"), [(assumptions, BATCH), (reparametrization, PLAIN)])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: [0, 4]", "steps: [0, 5]", "keeps no checkpoint of step 5; there are: every 2 from 0 on, and 1, 6"),
        ("", "", "expected the output folder of a training run"),
        ("width: 0.0625", "width: 0.125", "was trained under other settings than `train` has now"),
    ],
)
def test_bad_input_is_one_line(
    here: Path, tmp_path: Path, stage, run: str, old: str, new: str, message: str, monkeypatch, capsys
):
    folder = here / "models/runs" / (run if old else "nothing")
    params = tmp_path / "params.yaml"
    params.write_text((here / "params.yaml").read_text().replace(old, new))
    monkeypatch.setattr(
        "sys.argv", ["stage", "--params", str(params), "--run", str(folder), "--out", str(tmp_path / "out")]
    )
    with pytest.raises(SystemExit) as stop:
        command.run(lambda _: stage.main(None))
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (tmp_path / "out").exists()
