"""Stage `data`: the images that all other stages read, and a manifest that says what they are."""

import argparse
import sys
from pathlib import Path

from normlab.data.sources import prepare
from normlab.specs.data import DataSpec
from normlab.specs.strict import load_section
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Write `{train,test}_{images,labels}.npy` and `manifest.json` of the data set named in the parameters."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, default=Path("data/prepared"))
    parser.add_argument("--downloads", type=Path, default=Path("scratch/downloads"))
    args = parser.parse_args(argv)
    spec = load_section(args.params, "data", DataSpec)
    with command.new_folder(args.out) as folder:
        manifest = prepare(spec, folder, downloads=args.downloads)
    for note in manifest.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    counts, classes = manifest["counts"], len(manifest["classes"])
    print(f"{manifest['title']}: {counts['train']} train and {counts['test']} test images, {classes} classes")


if __name__ == "__main__":
    command.run(main)
