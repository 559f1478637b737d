"""A finished run's checkpoints are taken for what they say they are, and for nothing else."""

import shutil
from pathlib import Path

import pytest
from tests import tiny

from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.finished import read_checkpoint
from normlab.runs.training import fit
from normlab.specs.strict import InputError


@pytest.mark.parametrize("named", [0, 4])
def test_a_checkpoint_of_an_earlier_or_a_later_step_is_refused(tmp_path: Path, named: int) -> None:
    run = tiny.run_spec("none")
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    fit(run, batches, test, on_checkpoint=lambda c: save_checkpoint(checkpoint_path(tmp_path, c.step), c))
    assert read_checkpoint(run, tmp_path, 2).step == 2
    shutil.copyfile(checkpoint_path(tmp_path, 2), checkpoint_path(tmp_path, named))
    with pytest.raises(InputError, match="belongs to other settings than vgg11-none"):
        read_checkpoint(run, tmp_path, named)
