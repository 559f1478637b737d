"""A record's README, figures, claims and metrics, from its tables alone."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.records.drawings import DRAWINGS, write_svg
from normlab.records.readme import readme
from normlab.records.record import DATA, PARAMS, Record
from normlab.records.results import unpack, write_json
from normlab.specs.strict import load_params

SETTINGS = ("grid", "train", "probe", "dln_grid", "dln", "analyze")  # shown, and read by the README's table
RENDERED = ("claims.json", "metrics.json", "settings.json", "README.md", "figures")


def render(record: Record, root: Path) -> None:
    """Write what `RENDERED` names into the record, from its tables; the same bytes for the same tables and code.

    Args:
        record: the record.
        root: the repository, for links.

    Raises:
        InputError: nothing was added to the record yet, or a file is damaged.
    """
    study = record.study
    with tempfile.TemporaryDirectory(prefix="normlab-record-") as name:
        folder = Path(name)
        results = unpack(record, folder)
        write_json(_settings(record), folder / "settings.json")
        (folder / "figures").mkdir()
        drawn = [drawing for drawing in DRAWINGS if write_svg(drawing, results, folder / "figures")]
        text = readme(record, folder, root, drawn, study.report.preset)
        (folder / "README.md").write_text(text, encoding="utf-8")
        for entry in RENDERED:
            target = record.folder / entry
            if (folder / entry).is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(folder / entry, target)
            else:
                shutil.copyfile(folder / entry, target)


def _settings(record: Record) -> dict[str, Any]:
    """Data, settings and digests of the rules that the verdicts were made with, as older records have them, too."""
    data = json.loads((record.folder / DATA).read_text(encoding="utf-8"))
    params = load_params(record.folder / PARAMS)
    return {
        "data": {key: data[key] for key in ("title", "official", "counts", "digest") if key in data},
        **{section: params[section] for section in SETTINGS if section in params},
        "frozen": frozen(load_claims()),
    }
