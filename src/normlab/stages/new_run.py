"""What the stages that train a run share: their arguments."""

import argparse
from collections.abc import Collection
from pathlib import Path

from normlab.runs.cost import Cost, predict_cost
from normlab.runs.prepared import PreparedRun, prepare_run
from normlab.runs.resume import INTERVAL_SECONDS
from normlab.specs.parts import check_packages
from normlab.specs.strict import load_section
from normlab.specs.training import RunSpec, TrainSpec


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


def load(args: argparse.Namespace, keep: Collection[int] = ()) -> tuple[PreparedRun, Cost]:
    """The run that `args` name, ready to be trained (see `prepare_run`), and its cost, which is shown."""
    check_packages(args.package)
    train = load_section(args.params, "train", TrainSpec).varied(args.variant, "--variant")
    spec = RunSpec(args.network, args.norm_layer, args.learning_rate, args.seed, train, args.variant)
    run = prepare_run(spec, args.data, keep)
    cost = predict_cost(spec, run.batches, run.device, run.kept)
    print(f"{spec.name} on {run.device}: {cost}", flush=True)
    return run, cost
