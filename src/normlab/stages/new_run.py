"""What the stages that train a run share: their arguments, its images, and the training into an output folder."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from normlab.data.images import Batches, ImageSplit, load_held_out, load_images, load_manifest
from normlab.runs.arithmetic import check_precision
from normlab.runs.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from normlab.runs.cost import Cost, predict_cost
from normlab.runs.finished import write_run
from normlab.runs.networks import check_network, count_parameters, resolve_device
from normlab.runs.progress import StepLog
from normlab.runs.resume import INTERVAL_SECONDS, ResumePoints, circumstances
from normlab.runs.training import fit
from normlab.seeding import set_deterministic
from normlab.specs.parts import check_packages
from normlab.specs.strict import load_section
from normlab.specs.training import RunSpec, TrainSpec


@dataclass(frozen=True)
class NewRun:
    """A run that is going to be trained, with its images on the device."""

    spec: RunSpec
    device: torch.device
    batches: Batches
    test: ImageSplit
    held_out: ImageSplit | None
    manifest: dict[str, Any]
    cost: Cost

    def circumstances(self, program: str, **settings: Any) -> dict[str, str]:
        """What a resume point of it is good for; `settings` are those of the program beside the run's."""
        asked = {"run": self.spec.as_dict(), **settings}
        run = self.spec
        return circumstances(program, asked, self.manifest, self.device, network=run.network, normalizer=run.norm_layer)

    def train_into(
        self,
        folder: Path,
        resume: ResumePoints,
        *,
        kept: tuple[int, ...] | None = None,
        on_checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None,
    ) -> None:
        """Train, and write everything about the run into `folder`.

        Args:
            folder: an empty folder.
            resume: its resume points.
            kept: the steps whose checkpoints are written; by default the whole schedule.
            on_checkpoint: called with every checkpoint of the schedule.
        """
        kept = self.spec.train.checkpoint_steps if kept is None else kept

        def pass_on(checkpoint: Checkpoint) -> None:
            if checkpoint.step in kept:
                save_checkpoint(checkpoint_path(folder, checkpoint.step), checkpoint)
            on_checkpoint(checkpoint)

        with StepLog(self.spec, self.cost) as log:
            history = fit(
                self.spec,
                self.batches,
                self.test,
                held_out=self.held_out,
                device=self.device,
                on_checkpoint=pass_on,
                on_step=log,
                resume=resume,
            )
        parameters = count_parameters(self.spec, len(self.test.classes))
        write_run(folder, self.spec, history, parameters, self.device, kept)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that name the run, its data and its output."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments.add_argument("--data", type=Path, default=Path("data/prepared"))
    arguments.add_argument("--network", required=True)
    arguments.add_argument("--norm-layer", required=True)
    arguments.add_argument("--learning-rate", type=float, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--variant", default="", help="settings that differ, such as weight_decay=0.0004")
    arguments.add_argument("--package", action="append", default=[], help="name==version that the run uses")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--resume-every", type=float, default=INTERVAL_SECONDS, help="seconds between resume points")
    return arguments


def load(args: argparse.Namespace) -> NewRun:
    """The run, ready to be trained: its device computes deterministically from here on, and its cost is shown.

    Raises:
        InputError: settings, device or data that cannot be used.
    """
    check_packages(args.package)
    train = load_section(args.params, "train", TrainSpec).varied(args.variant, "--variant")
    run = RunSpec(args.network, args.norm_layer, args.learning_rate, args.seed, train, args.variant)
    device = resolve_device(train.device)
    check_precision(train, device)
    set_deterministic(device)
    batches = Batches(load_images(args.data, "train", device), train.batch_size, run.seed, train.augment)
    test, held_out = load_images(args.data, "test", device), load_held_out(args.data, device)
    check_network(run, len(test.classes), batches.at(0)[0][:2])
    cost = predict_cost(run, batches, device)
    print(f"{run.name} on {device}: {cost}", flush=True)
    return NewRun(run, device, batches, test, held_out, load_manifest(args.data), cost)
