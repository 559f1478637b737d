"""Stage `train`: one run of the grid, from the prepared data to its history and checkpoints."""

from normlab.runs.progress import StepLog
from normlab.runs.resume import ResumePoints
from normlab.specs.strict import require
from normlab.stages import command, new_run


def main(argv: list[str] | None = None) -> None:
    """Train one run and write its history, its scores on the test split (and held out), a summary and checkpoints."""
    args = new_run.parser(main.__doc__).parse_args(argv)
    run, cost = new_run.load(args)
    accepted = "all; runs that keep few are made by the stage measure"
    require(run.spec.train.checkpoints == "all", "train.checkpoints", accepted, run.spec.train.checkpoints)
    now = run.circumstances("normlab.stages.train")
    with command.new_folder(args.out) as folder, StepLog(run.spec, cost) as log:
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        run.train_into(folder, resume, on_step=log)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
