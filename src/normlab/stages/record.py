"""Program `record`: keep the results of the present run in Git, as the small record that the README's table shows."""

import argparse
import json
import re
import shutil
from pathlib import Path

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.data.images import load_manifest
from normlab.figures.landscape import figure_4
from normlab.specs.parts import family
from normlab.specs.strict import InputError, load_params
from normlab.stages import command
from normlab.tables.frames import load_measurements, select

FROZEN_FILE = "frozen.json"
SETTINGS = ("grid", "train", "probe", "dln_grid", "dln", "analyze")  # what the numbers depend on


def main(argv: list[str] | None = None) -> None:
    """Write claims.json, metrics.json, settings.json and landscape.png into reports/published/NAME/.

    With `--freeze` only `frozen.json`: the digests of the rules and of the analysis code, stored before a record's
    first run, so that a reader sees whether they were changed after results were known.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help="of the record, such as cifar-cpu")
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with params.yaml, data/ and reports/")
    parser.add_argument("--freeze", action="store_true", help="before the first run: store the digests of the rules")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", args.name):
        raise InputError(f"name: expected lower-case letters, digits and hyphens, got {args.name!r}")
    reports = args.root / "reports"
    if args.freeze:
        _freeze(reports / "published" / args.name / FROZEN_FILE)
        return
    for needed in ("claims.json", "metrics.json", "tables/measurements.parquet"):
        if not (reports / needed).is_file():
            raise InputError(f"{reports / needed}: no such file; run `make repro` first")
    manifest = load_manifest(args.root / "data" / "prepared")
    params = load_params(args.root / "params.yaml")
    network = params["analyze"]["network"]
    walks = select(
        load_measurements(reports / "tables" / "measurements.parquet"),
        study=family(network),  # other studies probe the same networks
        network=network,
        probe="landscape",
    )
    shown = walks[walks["norm_layer"].isin(["none", "batch"])]
    with command.new_folder(reports / "published" / args.name) as folder:
        for copied in ("claims.json", "metrics.json"):
            shutil.copyfile(reports / copied, folder / copied)
        data = {key: manifest[key] for key in ("title", "official", "counts", "digest")}
        settings = {
            "data": data,
            **{section: params[section] for section in SETTINGS if section in params},
            "frozen": frozen(load_claims()),
        }
        (folder / "settings.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
        picture = figure_4(shown, params["analyze"]["learning_rate"], eta_min_factor=min(params["probe"]["step_sizes"]))
        picture.savefig(folder / "landscape.png", dpi=110, metadata={"Software": None})


def _freeze(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path}: is there already; what was frozen before the first run is never written again")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(frozen(load_claims()), indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    command.run(main)
