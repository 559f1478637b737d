"""Stage `probe`: every measurement at every checkpoint of one run."""

from tqdm import tqdm

from normlab.data.images import Batches, load_images
from normlab.runs.finished import read_run, read_steps
from normlab.runs.networks import resolve_device
from normlab.seeding import set_deterministic
from normlab.specs.probe import ProbeSpec
from normlab.specs.strict import load_section, require
from normlab.specs.training import TrainSpec
from normlab.stages import command, finished_run
from normlab.studies.checkpoints.run import probe_run


def main(argv: list[str] | None = None) -> None:
    """Probe one trained run and write `probes.parquet` and `histograms.parquet`."""
    args = finished_run.arguments(main.__doc__, argv)
    train = load_section(args.params, "train", TrainSpec)
    spec = load_section(args.params, "probe", ProbeSpec)
    accepted = "all; runs that keep few are probed while they train, by the stage measure"
    require(train.checkpoints == "all", "train.checkpoints", accepted, train.checkpoints)
    run = read_run(args.run, train)
    steps = read_steps(args.run, run)
    device = resolve_device(train.device)
    set_deterministic(device)
    split = load_images(args.data, "train", device)
    batches = Batches(split, run.train.batch_size, run.seed, run.train.augment)
    with (
        command.new_folder(args.out) as folder,
        tqdm(steps, desc=f"probe {run.name}", unit="checkpoint", mininterval=2) as bar,
    ):
        probes = probe_run(run, spec, args.run, steps, batches, len(split.classes), on_step=lambda _: bar.update())
        probes.write(folder)


if __name__ == "__main__":
    command.run(main)
