"""Stage `check`: the first one. All others follow from it, so that nothing runs under settings that fail later."""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from normlab.analysis.rules import load_claims
from normlab.runs.networks import check_network
from normlab.specs.expansion import AGREED, check, expand
from normlab.specs.strict import InputError, load_params
from normlab.specs.study import StudySpec, read_study
from normlab.stages import command
from normlab.studies.limits import check_limits


def warnings(study: StudySpec) -> list[str]:
    """What is allowed and rarely meant: too few seeds for any verdict on the training study."""
    seeds = {run.seed for run in study.compared(["batch"])}
    needed = min(claim.min_seeds for claim in load_claims() if claim.group == "empirical")
    if "training" not in study.analyze.studies or len(seeds) >= needed:
        return []
    return [f"{len(seeds)} seeds: every verdict on trainings will be undecided, they need {needed} or more"]


def check_sections(params: Path) -> None:
    """Refuse a file without one of the sections, though it can be read: DVC asks for them by name, stage by stage.

    Raises:
        InputError: an older file, from before there was such a section.
    """
    there = load_params(params)
    for section in dataclasses.fields(StudySpec):
        if section.name not in there:
            raise InputError(
                f"{params}: the section {section.name} is missing, which stages depend on; an empty one is "
                f"`{section.name}: []`"
            )


def main(argv: list[str] | None = None) -> None:
    """Check the whole parameter file, and that runs.yaml agrees with it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--out", type=Path, help="written if everything is right; always the same")
    args = parser.parse_args(argv)
    study = read_study(args.root / "params.yaml")
    check_sections(args.root / "params.yaml")
    for page in study.report.notebooks:
        if not (args.root / "notebooks" / f"{page}.ipynb").is_file():
            raise InputError(f"report.notebooks: there is no notebooks/{page}.ipynb")
    check(expand(study, args.root), args.root)
    for run in study.runs:
        if ":" in run.network + run.norm_layer:
            check_network(run, study.data.num_classes, torch.randn(2, 3, 32, 32))
    check_limits(study, args.root)
    for warning in warnings(study):
        print(f"note: {warning}", file=sys.stderr)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(AGREED, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
