"""Stage `measure`: train and probe in one process, for runs that keep few checkpoints (`train.checkpoints: few`)."""

import dataclasses
from pathlib import Path

from normlab.runs.checkpoint import portable
from normlab.runs.progress import StepLog
from normlab.runs.resume import ResumePoints
from normlab.specs.probe import ProbeSpec
from normlab.specs.strict import load_section
from normlab.stages import command, new_run
from normlab.studies.checkpoints.run import RunProbes


def main(argv: list[str] | None = None) -> None:
    """Train one run, probe every checkpoint of its schedule on the way, and write what `train` and `probe` write.

    The probes get each checkpoint from memory as they would read it from its file, so the measurements have the same
    bits. Only the checkpoints that other stages read, and the last, are written.
    """
    parser = new_run.parser(main.__doc__)
    parser.add_argument("--probes", type=Path, required=True, help="where the measurements go")
    parser.add_argument("--keep", type=int, nargs="*", default=[], help="steps whose checkpoints other stages read")
    args = parser.parse_args(argv)
    spec = load_section(args.params, "probe", ProbeSpec)
    run, cost = new_run.load(args, args.keep)
    probes = RunProbes(run.spec, spec, run.batches, len(run.test.classes))
    now = run.circumstances("normlab.stages.measure", probe=dataclasses.asdict(spec))
    with (
        command.new_folder(args.out) as folder,
        command.new_folder(args.probes) as measured,
        StepLog(run.spec, cost) as log,
    ):
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        resume.add(probes=probes)
        run.train_into(folder, resume, lambda checkpoint: probes.measure(portable(checkpoint)), log)
        probes.write(measured)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
