"""Stage `check`: the first one. All others follow from it, so that nothing runs under settings that fail later."""

import argparse
import sys
from pathlib import Path

import torch

from normlab.analysis.rules import load_claims
from normlab.runs.networks import check_network
from normlab.specs.expansion import AGREED, check, expand
from normlab.specs.strict import InputError
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


def main(argv: list[str] | None = None) -> None:
    """Check the whole parameter file, and that runs.yaml agrees with it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--out", type=Path, help="written if everything is right; always the same")
    args = parser.parse_args(argv)
    study = read_study(args.root / "params.yaml")
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
