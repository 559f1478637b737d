"""The presets are complete and strict, and what is committed is the quick one, expanded."""

import dataclasses
import subprocess
import typing
from pathlib import Path

import pytest
import yaml
from tests.architecture.imports import SOURCE

from normlab.specs.expansion import RUNS, check, expand
from normlab.specs.grid import planned_runs
from normlab.specs.strict import InputError, build, load_params
from normlab.specs.study import StudySpec, read_study

ROOT = SOURCE.parent
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
SECTIONS = [field.name for field in dataclasses.fields(StudySpec)]
RUNS_OF = {
    "quick": 14,
    "cifar-cpu": 35 + 100 + 5,
    "paper-cpu": 10 + 15 + 11 * 2 * 2,
    "paper": 50 + 225 + 50,
    "paper-gpu": 30,
    "projection": 3 * 7 * 3,
    "lottery": 0,
}


def test_the_presets_are_these() -> None:
    assert {path.stem for path in PRESETS} == set(RUNS_OF)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_can_be_used_as_a_whole(path: Path) -> None:
    study = read_study(path)
    assert len(study.runs) == RUNS_OF[path.stem]
    assert [planned.spec for planned in planned_runs(load_params(path))] == study.runs
    assert list(load_params(path)) == SECTIONS, "the presets have the same sections in the same order"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_key_that_no_section_has_is_refused(section: str) -> None:
    params = load_params(PRESETS[0])
    if section == "dln_lottery":
        params[section] = [{}]
    inner = params[section][0] if isinstance(params[section], list) else params[section]
    inner["no_such_key"] = 1
    with pytest.raises(InputError, match=rf"^{section}(\[0\])?\.no_such_key: unknown key; accepted: "):
        build(StudySpec, params, "")


def test_a_section_that_does_not_exist_is_refused() -> None:
    params = load_params(PRESETS[0])
    with pytest.raises(InputError, match=r"^learning_rate_grid: unknown key; accepted: data, grid, train"):
        build(StudySpec, params | {"learning_rate_grid": {}}, "")
    del params["theory"]
    with pytest.raises(InputError, match=r"^theory: missing; expected a mapping"):
        build(StudySpec, params, "")


def test_a_scalar_where_a_list_belongs_is_one_line() -> None:
    hints = typing.get_type_hints(StudySpec)
    for section in (name for name in SECTIONS if typing.get_origin(hints[name]) is not tuple):
        for field, hint in typing.get_type_hints(hints[section]).items():
            if typing.get_origin(hint) is not tuple:
                continue
            params = load_params(PRESETS[0])
            params[section][field] = 1
            with pytest.raises(InputError, match=rf"^{section}\.{field}: expected a list") as caught:
                build(StudySpec, params, "")
            assert "\n" not in str(caught.value)


def _committed(name: str) -> bytes:
    """The file of the last commit, where someone may be working; without Git the file itself."""
    done = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else (ROOT / name).read_bytes()


def test_committed_settings_are_the_quick_preset_expanded() -> None:
    assert _committed("params.yaml") == _committed("presets/quick.yaml")
    expansion = expand(read_study(ROOT / "presets/quick.yaml"), ROOT)
    assert yaml.safe_load(_committed(RUNS)) == expansion.entries
    if (ROOT / "params.yaml").read_bytes() == (ROOT / "presets/quick.yaml").read_bytes():
        check(expansion, ROOT)
