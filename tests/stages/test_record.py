"""Program `record`: rules are frozen before a record's first run, and what is published is what its tables give."""

import json
import shutil
from pathlib import Path

import pytest
from tests.architecture.imports import SOURCE

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.specs.strict import InputError
from normlab.stages import record

pytestmark = pytest.mark.pipeline
ROOT = SOURCE.parent


def test_rules_are_frozen_once_before_the_first_run(tmp_path: Path) -> None:
    record.main(["tiny", "--root", str(tmp_path), "--freeze"])
    stored = (tmp_path / "reports" / "published" / "tiny" / "frozen.json").read_text()
    assert json.loads(stored) == frozen(load_claims())
    with pytest.raises(InputError, match=r"frozen\.json: is there already"):
        record.main(["tiny", "--root", str(tmp_path), "--freeze"])


@pytest.mark.parametrize("folder", sorted(ROOT.glob("reports/published/*/manifest.json")), ids=lambda p: p.parent.name)
def test_a_published_record_is_what_its_tables_give(folder: Path, tmp_path: Path) -> None:
    folder = folder.parent
    copied = tmp_path / "reports/published" / folder.name
    shutil.copytree(folder.parent, copied.parent)  # all of them: a record's page names the others' signs
    record.main([folder.name, "--root", str(tmp_path)])
    for name in ("README.md", "claims.json", "metrics.json"):
        now = (copied / name).read_text(encoding="utf-8")
        assert now == (folder / name).read_text(encoding="utf-8"), (
            f"stale: python -m normlab.stages.record {folder.name}"
        )
