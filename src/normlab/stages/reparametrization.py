"""Stage `reparametrization`: BatchNorm put into a trained plain network, the landscape before and after."""

from tqdm import tqdm

from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import load_section
from normlab.specs.training import TrainSpec
from normlab.stages import command, finished_run
from normlab.studies.reparametrization import measure_reparametrization


def main(argv: list[str] | None = None) -> None:
    """Measure the checkpoints of one plain run and write `measurements.parquet`."""
    args = finished_run.arguments(main.__doc__, argv)
    spec = load_section(args.params, "reparametrization", ReparametrizationSpec)
    run, split = finished_run.load(args, load_section(args.params, "train", TrainSpec), "none")
    with (
        command.new_folder(args.out) as folder,
        tqdm(total=len(spec.steps), desc=f"reparametrization {run.name}", unit="checkpoint", mininterval=2) as bar,
    ):
        table = measure_reparametrization(spec, run, args.run, split, on_step=bar.update)
        table.to_parquet(folder / "measurements.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
