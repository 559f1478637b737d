"""Stage `assumptions`: the theory's statements and assumptions on a trained network with BatchNorm."""

from tqdm import tqdm

from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.strict import load_section
from normlab.specs.training import TrainSpec
from normlab.stages import command, finished_run
from normlab.studies.statements.trained_cases import measure_trained_cases


def main(argv: list[str] | None = None) -> None:
    """Look at the checkpoints of one run with BatchNorm and write `checkpoints.parquet`."""
    args = finished_run.arguments(main.__doc__, argv)
    spec = load_section(args.params, "assumptions", AssumptionsSpec)
    run, split = finished_run.load(args, load_section(args.params, "train", TrainSpec), "batch")
    with (
        command.new_folder(args.out) as folder,
        tqdm(total=len(spec.steps), desc=f"assumptions {run.name}", unit="checkpoint", mininterval=2) as bar,
    ):
        table = measure_trained_cases(spec, run, args.run, split, on_step=bar.update)
        table.to_parquet(folder / "checkpoints.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
