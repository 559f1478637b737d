"""Every piece of planned work is read from its own place."""

import re
from pathlib import Path

import pytest
from tests.records.conftest import PARAMS

from normlab.records.finished import planned_work
from normlab.specs.strict import InputError
from normlab.specs.study import read_study

STUDIES = "training, dln, dln_scan, dln_lottery, reparametrization, theory"


def test_every_piece_is_read_from_its_own_place(tmp_path: Path) -> None:
    text = PARAMS.replace("studies: [training, dln, theory]", f"studies: [{STUDIES}]")
    lottery = "dln_lottery:\n  - {norm_layer: [none, batch], learning_rate: [1.0e-6], seeds: 2}\n"
    (tmp_path / "params.yaml").write_text(text.replace("dln_lottery: []\n", lottery))
    found = planned_work(read_study(tmp_path / "params.yaml"), tmp_path)
    assert {work.place.partition("/")[0] for work in found} == {
        "runs",
        "dln",
        "dln_scan",
        "dln_lottery",
        "reparametrization",
        "statements",
    }
    for work in found:  # nothing is there, and the error names the file that is missed
        with pytest.raises(InputError) as missed:
            work.read()
        missing = Path(re.match(r"[^:]*", str(missed.value))[0])  # type: ignore[index]
        assert missing in work.files or missing.parent in {path.parent for path in work.files}, work.place
