"""Stage `dln_lottery`: many seeds of one deep linear cell, a few numbers of each."""

import argparse
import dataclasses
from pathlib import Path

import torch
from tqdm import tqdm

from normlab.runs.resume import INTERVAL_SECONDS, ResumePoints, circumstances
from normlab.seeding import set_deterministic
from normlab.specs.dln import DlnCell, DlnSpec, check_point
from normlab.specs.strict import load_section, require
from normlab.stages import command
from normlab.studies.deep_linear.lottery import CHUNK, Lottery


def main(argv: list[str] | None = None) -> None:
    """Train the seeds 0 … N − 1 of one cell in chunks and write `measurements.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--norm-layer", required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--seeds", type=int, required=True, help="how many")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume-every", type=float, default=INTERVAL_SECONDS, help="seconds between resume points")
    args = parser.parse_args(argv)
    spec = load_section(args.params, "dln", DlnSpec)
    check_point(args.norm_layer, args.learning_rate, "dln_lottery")
    require(args.seeds >= 1, "--seeds", "must be at least 1", args.seeds)
    cell = DlnCell(args.norm_layer, args.learning_rate)
    set_deterministic()
    settings = {**dataclasses.asdict(spec), **dataclasses.asdict(cell), "seeds": args.seeds, "chunk": CHUNK}
    now = circumstances(
        "normlab.stages.dln_lottery", settings, "drawn from the seeds", torch.device("cpu"), scale=cell.norm_layer
    )
    lottery = Lottery(spec, cell, range(args.seeds))
    updates = spec.steps * -(-args.seeds // CHUNK)
    with (
        command.new_folder(args.out) as folder,
        tqdm(total=updates, desc=f"lottery {cell.name}", unit="step", mininterval=5) as bar,
    ):
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        resume.add(lottery=lottery)
        resume.restore()
        lottery.run(lambda step: bar.update(step - bar.n), resume)
        lottery.frame().to_parquet(folder / "measurements.parquet", index=False)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
