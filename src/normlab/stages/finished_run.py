"""What the stages that look at one trained run afterwards share: their arguments, the run and its images."""

import argparse
from pathlib import Path

from normlab.data.images import ImageSplit, load_images
from normlab.runs.finished import read_run
from normlab.runs.networks import resolve_device
from normlab.seeding import set_deterministic
from normlab.specs.parts import check_packages
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec


def arguments(description: str | None, argv: list[str] | None) -> argparse.Namespace:
    """`--params`, `--data`, `--run` (the output folder of stage train) and `--out`, as paths; `--package`, checked."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--run", type=Path, required=True, help="the output folder of stage train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", action="append", default=[], help="name==version that the run uses")
    args = parser.parse_args(argv)
    check_packages(args.package)
    return args


def load(args: argparse.Namespace, train: TrainSpec, norm_layer: str) -> tuple[RunSpec, ImageSplit]:
    """The run and the train split on its device, which computes deterministically from here on.

    Raises:
        InputError: the folder is none of a training run with `norm_layer`, or the data cannot be read.
    """
    run = read_run(args.run, train)
    if run.norm_layer != norm_layer:
        raise InputError(f"--run {args.run}: expected a run with norm_layer {norm_layer}, got {run.norm_layer}")
    device = resolve_device(train.device)
    set_deterministic(device)
    return run, load_images(args.data, "train", device)
