"""Stage `measure`: train and probe in one process, for runs that keep few checkpoints (`train.checkpoints: few`)."""

import dataclasses
from pathlib import Path

from normlab.runs.checkpoint import portable
from normlab.runs.resume import ResumePoints
from normlab.specs.probe import ProbeSpec
from normlab.specs.strict import load_section
from normlab.specs.training import check_steps
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
    run = new_run.load(args)
    check_steps(args.keep, run.spec, "--keep")
    train = run.spec.train
    kept = train.checkpoint_steps if train.checkpoints == "all" else tuple(sorted({*args.keep, train.steps}))
    probes = RunProbes(run.spec, spec, run.batches, len(run.test.classes))
    now = run.circumstances("normlab.stages.measure", probe=dataclasses.asdict(spec), kept=kept)
    with command.new_folder(args.out) as folder, command.new_folder(args.probes) as measured:
        resume = ResumePoints(args.out, folder, now, interval=args.resume_every)
        resume.add(probes=probes)
        run.train_into(folder, resume, kept=kept, on_checkpoint=lambda checkpoint: probes.measure(portable(checkpoint)))
        probes.write(measured)
    resume.remove()


if __name__ == "__main__":
    command.run(main)
