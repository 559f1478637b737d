"""Stage `theory`: the paper's statements on random numbers and on trained networks."""

import argparse
from pathlib import Path

from tqdm import tqdm

from normlab.data.images import load_images
from normlab.networks import resolve_device
from normlab.seeding import set_deterministic
from normlab.specs.grid import GridSpec
from normlab.specs.strict import load_section
from normlab.specs.theory import TheorySpec
from normlab.specs.training import TrainSpec
from normlab.stages import command
from normlab.theory_study.random_cases import measure_random_cases
from normlab.theory_study.trained_cases import measure_trained_cases, trained_runs


def main(argv: list[str] | None = None) -> None:
    """Check every statement and write `random.parquet` and `checkpoints.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--models", type=Path, default=Path("models/runs"))
    parser.add_argument("--out", type=Path, default=Path("data/studies/theory"))
    args = parser.parse_args(argv)
    spec = load_section(args.params, "theory", TheorySpec)
    train = load_section(args.params, "train", TrainSpec)
    runs = trained_runs(load_section(args.params, "grid", GridSpec).runs(train))
    device = resolve_device(train.device)
    set_deterministic(device)
    split = load_images(args.data, "train", device)
    with tqdm(total=len(runs) * len(spec.steps), desc="theory", unit="checkpoint", mininterval=2) as bar:
        checkpoints = measure_trained_cases(spec, runs, args.models, split, on_case=bar.update)
    random = measure_random_cases(spec)
    with command.new_folder(args.out) as folder:
        random.to_parquet(folder / "random.parquet", index=False)
        checkpoints.to_parquet(folder / "checkpoints.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
