"""`make rerun`: does a clean clone still say what is committed? Not a DVC stage: it runs DVC."""

import argparse
import datetime
import os
import tempfile
from pathlib import Path

from normlab.rerun import canary_of, clone_head, compare, repeat, summary
from normlab.specs.strict import load_params
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Reproduce HEAD in a clean clone, repeat one run by force, and exit 1 if metrics or verdicts differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument(
        "--canary", default=os.environ.get("CANARY", ""), help="the run to repeat; default: this week's"
    )
    parser.add_argument(
        "--clone", default=os.environ.get("CLONE", ""), help="where to clone to; default: a temporary folder"
    )
    args = parser.parse_args(argv)
    root = args.root.resolve()
    week = datetime.date.today().isocalendar().week
    with tempfile.TemporaryDirectory(prefix="normlab-rerun-") as temporary:
        clone = Path(args.clone).resolve() if args.clone else Path(temporary) / "clone"
        clone_head(root, clone)
        canary = canary_of(load_params(clone / "params.yaml"), week, args.canary)
        identical = repeat(clone, canary)
        metrics, verdicts = compare(root, clone)
    text = summary(canary.spec.name, identical, metrics, verdicts)
    print(text)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a", encoding="utf-8") as stream:
            stream.write(text)
    if any(change.allowed is None for change in (*metrics, *verdicts)):
        raise SystemExit(1)


if __name__ == "__main__":
    command.run(main)
