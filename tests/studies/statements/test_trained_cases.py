"""The table of statements at the checkpoints of a real run: whose rows they are, over how many units and samples."""

import json
from pathlib import Path

from tests import tiny

from normlab.data.images import load_images
from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.training import fit
from normlab.specs.assumptions import AssumptionsSpec
from normlab.studies.statements.trained_cases import measure_trained_cases


def test_rows_bear_the_keys_of_their_run_and_count_units_and_samples(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    batches, test = tiny.load(data)
    run = tiny.run_spec("batch", seed=2, steps=2, checkpoint_every=1, checkpoint_at=())
    (tmp_path / "checkpoints").mkdir()
    fit(run, batches, test, on_checkpoint=lambda found: save_checkpoint(checkpoint_path(tmp_path, found.step), found))
    summary = {"spec": run.as_dict(), "diverged_at": None, "checkpoints": [0, 1, 2], "parameters": 1}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    seen: list[int] = []
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(0, 2), layers=2, units=3)
    table = measure_trained_cases(spec, run, tmp_path, load_images(data, "train"), on_step=lambda: seen.append(1))
    assert len(seen) == 2
    keys = table[["source", "network", "norm_layer", "learning_rate", "variant", "seed"]].drop_duplicates()
    assert keys.to_numpy().tolist() == [["checkpoint", "vgg11", "batch", 0.1, "", 2]]
    # batch x pixels: 16 images, 32 x 32 at the first layer, 2 x 2 before the last pooling
    places = table.loc[table["quantity"] == "usable", ["step", "layer", "samples", "count", "fraction"]]
    expected = [("features.norm1", 16 * 32 * 32), ("features.norm8", 16 * 2 * 2)]
    assert places.to_numpy().tolist() == [
        [step, layer, samples, 3, 1.0] for step in (0, 2) for layer, samples in expected
    ]
    assert table["fraction"].dropna().between(0, 1).all()
