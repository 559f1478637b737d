"""Stage `reparametrization`: BatchNorm put into trained plain networks, the landscape before and after."""

import argparse
from pathlib import Path

from tqdm import tqdm

from normlab.data.images import load_images
from normlab.networks import resolve_device
from normlab.reparametrization import measure_reparametrization, plain_runs
from normlab.seeding import set_deterministic
from normlab.specs.grid import GridSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import load_section
from normlab.specs.training import TrainSpec
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Measure all plain runs of the grid and write `measurements.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--models", type=Path, default=Path("models/runs"))
    parser.add_argument("--out", type=Path, default=Path("data/studies/reparametrization"))
    args = parser.parse_args(argv)
    spec = load_section(args.params, "reparametrization", ReparametrizationSpec)
    train = load_section(args.params, "train", TrainSpec)
    runs = plain_runs(load_section(args.params, "grid", GridSpec).runs(train))
    device = resolve_device(train.device)
    set_deterministic(device)
    split = load_images(args.data, "train", device)
    with tqdm(total=len(runs) * len(spec.steps), desc="reparametrization", unit="checkpoint", mininterval=2) as bar:
        table = measure_reparametrization(spec, runs, args.models, split, on_case=bar.update)
    with command.new_folder(args.out) as folder:
        table.to_parquet(folder / "measurements.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
