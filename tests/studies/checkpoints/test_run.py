"""The measurements of a run, against what its training itself met at the same steps."""

from pathlib import Path

import pandas as pd
import pytest
from tests import tiny

from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.training import fit
from normlab.specs.probe import ProbeSpec
from normlab.studies.checkpoints.run import probe_run

# one unit a layer, so that a mean over the units is that unit; the walk is as short as it can be
SPEC = ProbeSpec(step_sizes=(1.0,), random_directions=False, curvature=False, units=1)


@pytest.mark.parametrize("norm_layer", ["noisy_batch", "batch"])
def test_one_step_later_is_what_the_next_checkpoint_finds(tmp_path: Path, norm_layer: str) -> None:
    """Weights, batch and noise of update t + 1: with the noise of update t, the change would be another one."""
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    run = tiny.run_spec(norm_layer, steps=2, checkpoint_every=1, checkpoint_at=())
    (tmp_path / "checkpoints").mkdir()
    fit(run, batches, test, on_checkpoint=lambda found: save_checkpoint(checkpoint_path(tmp_path, found.step), found))
    frame = probe_run(run, SPEC, tmp_path, [0, 1, 2], batches, 3).measurements()
    for probe in ("activations", "activations_fixed"):
        rows = frame[(frame["probe"] == probe) & frame["layer"].str.startswith("features.norm")]
        table: pd.DataFrame = rows.pivot(index=["layer", "step"], columns="quantity", values="value")
        example = table["example_mean"].unstack("step")
        later = table["mean_abs_change_1"].unstack("step")
        for step in (0, 1):
            # float32; a layer's mean is about 1, the noise moves it by up to 0.5 at every pass
            assert later[step].to_numpy() == pytest.approx(
                (example[step + 1] - example[step]).abs().to_numpy(), abs=1e-5
            )
            assert later[step].max() > 1e-4
