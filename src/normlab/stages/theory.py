"""Stage `theory`: the paper's statements on random numbers."""

import argparse
from pathlib import Path

from normlab.seeding import set_deterministic
from normlab.specs.strict import load_section
from normlab.specs.theory import TheorySpec
from normlab.stages import command
from normlab.studies.statements.random_cases import measure_random_cases


def main(argv: list[str] | None = None) -> None:
    """Check every statement, as printed and as corrected, and write `random.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, default=Path("data/studies/theory"))
    args = parser.parse_args(argv)
    set_deterministic()
    spec = load_section(args.params, "theory", TheorySpec)
    with command.new_folder(args.out) as folder:
        table = measure_random_cases(spec)
        table.to_parquet(folder / "random.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
