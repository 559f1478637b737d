"""The table of refused settings: each gives its one line, from the specs alone, before any work."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.data import DataSpec
from normlab.specs.dln import DlnGridSpec, DlnScanSpec, DlnSpec
from normlab.specs.grid import planned_runs
from normlab.specs.lottery import LotteryBlock
from normlab.specs.probe import ProbeSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.report import ReportSpec
from normlab.specs.strict import InputError, build, load_params
from normlab.specs.study import StudySpec
from normlab.specs.theory import TheorySpec
from normlab.specs.training import RunSpec, TrainSpec

HERE = Path(__file__).resolve().parent
ROWS = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
QUICK = load_params(HERE.parents[1] / "presets/quick.yaml")
SPECS: dict[str, type] = {
    "data": DataSpec,
    "train": TrainSpec,
    "probe": ProbeSpec,
    "dln_grid": DlnGridSpec,
    "dln": DlnSpec,
    "dln_scan": DlnScanSpec,
    "dln_lottery": LotteryBlock,
    "theory": TheorySpec,
    "assumptions": AssumptionsSpec,
    "reparametrization": ReparametrizationSpec,
    "analyze": AnalyzeSpec,
    "report": ReportSpec,
}
LOTTERY = {"norm_layer": ["none"], "learning_rate": [1.0e-6], "seeds": 10}
RUN = {"network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}
BLOCK = {key: [value] for key, value in RUN.items()}
GONE = "-"


def use(key: str, value: Any) -> None:
    """Read the quick preset with `value` at `key`."""
    section, _, name = key.partition(".")
    if section == "run":
        RunSpec(**{**RUN, name: value}, train=build(TrainSpec, QUICK["train"], "train"))
    elif section == "grid":
        blocks = value
        if isinstance(value, list):
            blocks = [_changed(BLOCK, entry) if isinstance(entry, dict) else entry for entry in value]
        planned_runs({**QUICK, "grid": blocks})
    elif section == "study":
        build(StudySpec, _changed(QUICK, value), "")
    else:
        quick = LOTTERY if section == "dln_lottery" else QUICK[section]  # which has no such entry
        build(SPECS[section], {**copy.deepcopy(quick), name: value}, section)


def _changed(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with other values at some keys, `section.key` among them, or without them where the value is GONE."""
    new = copy.deepcopy(old)
    for key, value in changes.items():
        section, _, name = key.partition(".")
        place, last = (new[section], name) if name else (new, section)
        if value == GONE:
            del place[last]
        else:
            place[last] = value
    return new


def test_the_preset_itself_is_accepted() -> None:
    for section in SPECS.keys() - {"dln_lottery"}:
        name, value = next(iter(QUICK[section].items()))
        use(f"{section}.{name}", value)
    use("run.seed", 0)
    use("grid", [{}, {"seed": [1]}])
    use("study", {})


@pytest.mark.parametrize(("key", "value", "line"), ROWS, ids=[f"{key}={value}" for key, value, _ in ROWS])
def test_a_refused_setting_gives_its_line(key: str, value: Any, line: str) -> None:
    with pytest.raises(InputError) as caught:
        use(key, value)
    pattern = ".*".join(re.escape(part) for part in line.split("…"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)


def test_the_table_is_long_and_says_nothing_twice() -> None:
    assert len(ROWS) >= 200
    assert len({(key, repr(value)) for key, value, _ in ROWS}) == len(ROWS)
