"""Stage `dln_scan`: the learning rates that each deep linear network can use."""

import argparse
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from normlab.seeding import set_deterministic
from normlab.specs.dln import DlnScanSpec, DlnSpec
from normlab.specs.strict import load_section
from normlab.stages import command
from normlab.studies.deep_linear.scan import scan_rates


def main(argv: list[str] | None = None) -> None:
    """Run every normalizer at every rate of `dln_scan` and write `measurements.parquet`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    spec = load_section(args.params, "dln", DlnSpec)
    scan = load_section(args.params, "dln_scan", DlnScanSpec)
    set_deterministic()
    with command.new_folder(args.out) as folder:
        frames = [scan_rates(spec, scan, kind) for kind in tqdm(scan.norm_layer, desc="dln scan", unit="normalizer")]
        pd.concat(frames, ignore_index=True).to_parquet(folder / "measurements.parquet", index=False)


if __name__ == "__main__":
    command.run(main)
