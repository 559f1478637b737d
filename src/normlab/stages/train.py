"""Stage `train`: one run of the grid, from the prepared data to its history and checkpoints."""

import argparse
from pathlib import Path

from normlab.data.images import Batches, load_held_out, load_images, load_manifest
from normlab.runs.arithmetic import check_precision
from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.cost import predict_cost
from normlab.runs.finished import write_run
from normlab.runs.networks import check_network, resolve_device
from normlab.runs.progress import StepLog
from normlab.runs.resume import INTERVAL_SECONDS, ResumePoints, circumstances
from normlab.runs.training import fit
from normlab.seeding import set_deterministic
from normlab.specs.parts import Kind
from normlab.specs.strict import load_section
from normlab.specs.training import RunSpec, TrainSpec
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Train one run and write its history, its scores on the test split (and held out), a summary and checkpoints."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--network", required=True)
    parser.add_argument("--norm-layer", required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume-every", type=float, default=INTERVAL_SECONDS, help="seconds between resume points")
    args = parser.parse_args(argv)
    train = load_section(args.params, "train", TrainSpec)
    run = RunSpec(args.network, args.norm_layer, args.learning_rate, args.seed, train)
    device = resolve_device(train.device)
    check_precision(train, device)
    set_deterministic(device)
    batches = Batches(load_images(args.data, "train", device), train.batch_size, run.seed, train.augment)
    test, held_out = load_images(args.data, "test", device), load_held_out(args.data, device)
    check_network(run, len(test.classes), batches.at(0)[0][:2])
    cost = predict_cost(run, batches, device)
    print(f"{run.name} on {device}: {cost}", flush=True)
    parts: dict[Kind, str] = {"network": run.network, "normalizer": run.norm_layer}
    now = circumstances("normlab.stages.train", run.as_dict(), load_manifest(args.data), device, parts)
    with command.new_folder(args.out) as folder, StepLog(run, cost) as log:
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        history = fit(
            run,
            batches,
            test,
            held_out=held_out,
            device=device,
            on_checkpoint=lambda c: save_checkpoint(checkpoint_path(folder, c.step), c),
            on_step=log,
            resume=resume,
        )
        write_run(folder, run, history, cost.parameters, device)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
