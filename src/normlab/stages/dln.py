"""Stage `dln`: one cell of the deep linear study, all seeds at once."""

import argparse
import dataclasses
from pathlib import Path

import torch
from tqdm import tqdm

from normlab.runs.resume import INTERVAL_SECONDS, ResumePoints, circumstances
from normlab.seeding import set_deterministic
from normlab.specs.dln import DlnCell, DlnSpec, check_point
from normlab.specs.strict import load_section
from normlab.stages import command
from normlab.studies.deep_linear.study import run_cell


def main(argv: list[str] | None = None) -> None:
    """Train and measure one cell and write `measurements.parquet` and `histograms.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--norm-layer", required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--variant", default="", help="settings that differ, such as affine=false")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume-every", type=float, default=INTERVAL_SECONDS, help="seconds between resume points")
    args = parser.parse_args(argv)
    spec = load_section(args.params, "dln", DlnSpec)
    check_point(args.norm_layer, args.learning_rate, "dln_grid")
    cell = DlnCell(args.norm_layer, args.learning_rate, args.variant)
    set_deterministic()
    settings = {**dataclasses.asdict(spec.varied(cell.variant, "--variant")), **dataclasses.asdict(cell)}
    now = circumstances(
        "normlab.stages.dln", settings, "drawn from the seeds", torch.device("cpu"), scale=cell.norm_layer
    )
    with (
        command.new_folder(args.out) as folder,
        tqdm(total=spec.steps + 1, desc=f"dln {cell.name}", unit="step", mininterval=5) as bar,
    ):
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        measurements, histograms = run_cell(spec, cell, lambda step: bar.update(step + 1 - bar.n), resume)
        measurements.to_parquet(folder / "measurements.parquet", index=False)
        histograms.to_parquet(folder / "histograms.parquet", index=False)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
