"""A run with its images on the device, ready to be trained into an output folder."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from normlab.data.images import Batches, ImageSplit, load_held_out, load_images, load_manifest
from normlab.runs.arithmetic import check_precision
from normlab.runs.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from normlab.runs.finished import write_run
from normlab.runs.networks import check_network, count_parameters, resolve_device
from normlab.runs.resume import ResumePoints, circumstances
from normlab.runs.training import fit
from normlab.seeding import set_deterministic
from normlab.specs.training import RunSpec, check_steps


@dataclass(frozen=True)
class PreparedRun:
    """A run that is going to be trained, with its images on the device."""

    spec: RunSpec
    device: torch.device
    batches: Batches
    test: ImageSplit
    held_out: ImageSplit | None
    manifest: dict[str, Any]
    kept: tuple[int, ...]

    def circumstances(self, program: str, **settings: Any) -> dict[str, str]:
        """What a resume point of it is good for; `settings` are those of the program beside the run's."""
        asked = {"run": self.spec.as_dict(), "kept": self.kept, **settings}
        run = self.spec
        return circumstances(program, asked, self.manifest, self.device, network=run.network, normalizer=run.norm_layer)

    def train_into(
        self,
        folder: Path,
        resume: ResumePoints | None = None,
        on_checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None,
        on_step: Callable[[int, dict[str, float] | None], None] = lambda step, values: None,
    ) -> None:
        """Train, and write everything about the run into `folder`.

        Args:
            folder: an empty folder.
            resume: its resume points, if it has any.
            on_checkpoint: called with every checkpoint of the schedule.
            on_step: called after every update, see `fit`.
        """

        def pass_on(checkpoint: Checkpoint) -> None:
            if checkpoint.step in self.kept:
                save_checkpoint(checkpoint_path(folder, checkpoint.step), checkpoint)
            on_checkpoint(checkpoint)

        history = fit(
            self.spec,
            self.batches,
            self.test,
            held_out=self.held_out,
            device=self.device,
            on_checkpoint=pass_on,
            on_step=on_step,
            resume=resume,
        )
        parameters = count_parameters(self.spec, len(self.test.classes))
        write_run(folder, self.spec, history, parameters, self.device, self.kept)


def prepare_run(run: RunSpec, data: Path, keep: Collection[int] = ()) -> PreparedRun:
    """The run, ready to be trained; its device computes deterministically from here on.

    Args:
        run: the spec.
        data: the folder of the prepared images.
        keep: the steps whose checkpoints other stages read, for a run with `checkpoints: few`.

    Raises:
        InputError: a device, precision, network, step or data that cannot be used.
    """
    train = run.train
    device = resolve_device(train.device)
    check_precision(train, device)
    set_deterministic(device)
    batches = Batches(load_images(data, "train", device), train.batch_size, run.seed, train.augment)
    test, held_out = load_images(data, "test", device), load_held_out(data, device)
    check_network(run, len(test.classes), batches.at(0)[0][:2])
    check_steps(keep, run, "--keep")
    kept = train.checkpoint_steps if train.checkpoints == "all" else tuple(sorted({*keep, train.steps}))
    return PreparedRun(run, device, batches, test, held_out, load_manifest(data), kept)
