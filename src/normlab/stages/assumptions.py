"""Stage `assumptions`: the theory's statements and assumptions on a trained network with BatchNorm."""

import argparse
from pathlib import Path

from tqdm import tqdm

from normlab.data.images import load_images
from normlab.networks import resolve_device
from normlab.seeding import set_deterministic
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.strict import load_section
from normlab.specs.training import TrainSpec
from normlab.stages import command
from normlab.theory_study.trained_cases import measure_trained_cases
from normlab.trained_networks import read_run


def main(argv: list[str] | None = None) -> None:
    """Look at the checkpoints of one run with BatchNorm and write `checkpoints.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--run", type=Path, required=True, help="the output folder of stage train")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    spec = load_section(args.params, "assumptions", AssumptionsSpec)
    train = load_section(args.params, "train", TrainSpec)
    run = read_run(args.run, train)
    device = resolve_device(train.device)
    set_deterministic(device)
    split = load_images(args.data, "train", device)
    with tqdm(total=len(spec.steps), desc=f"assumptions {run.name}", unit="checkpoint", mininterval=2) as bar:
        table = measure_trained_cases(spec, run, args.run, split, on_step=bar.update)
    with command.new_folder(args.out) as folder:
        table.to_parquet(folder / "checkpoints.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
