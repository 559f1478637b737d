"""dvc.yaml names all that can change a stage's numbers, and nothing that cannot."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from tests.architecture.imports import SOURCE, closure, modules, notebook_imports

from normlab.specs.strict import load_params

ROOT = SOURCE.parent
STAGES: dict[str, Any] = load_params(ROOT / "dvc.yaml")["stages"]
# Spectators: they show what happens and cannot change a number, so editing them makes no stage stale. A module that
# imports one does it by name at run time, which is what this list allows.
OBSERVERS = {"normlab.tracking.store"}
# the package's own __init__ gives the version and the lazy names `normlab.nn`, `normlab.probes`, `normlab.theory`; that
# of the programs says what Ctrl-C prints
WITHOUT_NUMBERS = {"normlab", "normlab.stages"}
HEAVY = {"data": 0, "train": 0, "probe": 0, "dln": 0}  # stages that a change of analysis or pages must not touch


def _settings(stage: dict[str, Any]) -> dict[str, Any]:
    return dict(stage.get("do", stage))


def _program(stage: dict[str, Any]) -> str:
    found = re.findall(r"python -m (normlab\.stages\.\w+)", str(_settings(stage)["cmd"]))
    assert len(found) == 1, stage
    return str(found[0])


def _dependencies(stage: dict[str, Any]) -> list[str]:
    return [str(dep) for dep in _settings(stage).get("deps", []) if str(dep).startswith("src/")]


def _covers(dependency: str, path: Path) -> bool:
    return (ROOT / dependency) == path or (ROOT / dependency) in path.parents


def _needed(stage: dict[str, Any]) -> set[Path]:
    """The files behind a stage's program: its import closure and the package data that these modules name."""
    names = closure(_program(stage))
    if any(str(dep).startswith("notebooks/") for dep in _settings(stage).get("deps", [])):
        for path in (ROOT / "notebooks").glob("*.ipynb"):
            names |= set().union(*(closure(name) for name in notebook_imports(path)))
    names -= WITHOUT_NUMBERS
    files = {modules()[name].path for name in names if not modules()[name].is_only_a_docstring}
    data = [path for path in (SOURCE / "normlab").rglob("*") if path.suffix in (".yaml", ".csv", ".css", ".html")]
    for name in names:
        constants = {node.value for node in ast.walk(modules()[name].tree) if isinstance(node, ast.Constant)}
        files |= {path for path in data if path.name in constants}
    return files


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_file_behind_a_stage_is_a_dependency(name: str) -> None:
    dependencies = _dependencies(STAGES[name])
    missing = {path for path in _needed(STAGES[name]) if not any(_covers(dep, path) for dep in dependencies)}
    assert not missing, f"{name}: add to deps: {sorted(str(path.relative_to(ROOT)) for path in missing)}"


@pytest.mark.parametrize("name", sorted(STAGES))
def test_no_dependency_is_idle(name: str) -> None:
    needed = _needed(STAGES[name])
    for dep in _dependencies(STAGES[name]):
        assert (ROOT / dep).exists(), f"{name}: {dep} does not exist"
        assert any(_covers(dep, path) for path in needed), f"{name}: {dep} cannot change its numbers"


@pytest.mark.parametrize("name", sorted(set(HEAVY) & set(STAGES)))
def test_pages_and_tracker_are_far_from_trainings(name: str) -> None:
    assert not [
        dep for dep in _dependencies(STAGES[name]) if re.search(r"analysis|reporting|track|report|figures", dep)
    ]


def test_modules_named_at_run_time_are_spectators() -> None:
    named = {name for module in modules().values() for name in module.by_name}
    assert named <= OBSERVERS


@pytest.mark.parametrize("name", sorted(STAGES))
def test_declared_settings_are_those_that_the_program_reads(name: str) -> None:
    declared = set(_settings(STAGES[name]).get("params", []))
    tree = modules()[_program(STAGES[name])].tree
    read = {
        str(call.args[1].value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "load_section"
        if isinstance(call.args[1], ast.Constant)
    }
    assert {section.partition(".")[0] for section in declared} >= read


@pytest.mark.parametrize("name", sorted(STAGES))
def test_grids_reach_stages_through_commands_only(name: str) -> None:
    if "matrix" in STAGES[name] or "foreach" in STAGES[name]:
        sections = {str(section).partition(".")[0] for section in _settings(STAGES[name]).get("params", [])}
        assert not {section for section in sections if section.endswith("grid")}, "one more seed would rerun all others"


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"analyze"}))
def test_only_the_analysis_reads_the_folder_of_all_runs(name: str) -> None:
    # another stage would run again for every new run, and could not run beside the stage that writes into the folder
    settings = [_settings(stage) for stage in STAGES.values()]
    outputs = {str(out) for stage in settings for out in stage.get("outs", [])}
    folders = {str(parent) for out in outputs for parent in Path(out).parents} - outputs
    assert not folders & {str(dep) for dep in _settings(STAGES[name]).get("deps", [])}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_stages_can_be_cached_and_rerun(name: str) -> None:
    stage = _settings(STAGES[name])
    assert stage.get("deps") or stage.get("params"), "without either, DVC runs a stage once and never again"
    for out in stage.get("outs", []):
        assert isinstance(out, str), "an uncached or persistent output turns the run cache off; metrics may be uncached"
    paths = [*stage.get("outs", []), *stage.get("deps", [])]
    assert not [path for path in paths if str(path).startswith("/")]
