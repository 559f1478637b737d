"""dvc.yaml names all that can change a stage's numbers, and nothing that cannot."""

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.architecture.deps import (
    CHECK,
    DVC_YAML,
    ROOT,
    SHARED,
    WITHOUT_NUMBERS,
    links,
    needed,
    observers,
    program,
    rewritten,
    settings,
    shared,
)
from tests.architecture.imports import SOURCE, modules, name_of

from normlab.specs.study import StudySpec
from normlab.specs.yaml12 import load_yaml

STAGES: dict[str, Any] = load_yaml(DVC_YAML)["stages"]
SECTIONS = {field.name for field in dataclasses.fields(StudySpec)}
# what makes a run, or costs as much
HEAVY = ("data", "train", "probe", "measure", "dln", "dln_scan", "dln_lottery", "theory")
HEAVY += ("assumptions", "reparametrization")


def _files(stage: str) -> set[str]:
    return {path.relative_to(SOURCE / "normlab").as_posix() for path in needed(STAGES[stage])}


def _deps(stage: str) -> list[str]:
    return [str(dep) for dep in settings(STAGES[stage]).get("deps", [])]


def _upstream(stage: str) -> set[str]:
    """The stages that make what a stage reads, directly or not."""
    made = {str(out): name for name, other in STAGES.items() for out in settings(other).get("outs", [])}
    direct = {name for dep in _deps(stage) for out, name in made.items() if f"{dep}/".startswith(f"{out}/")}
    direct |= {name for dep in _deps(stage) for out, name in made.items() if out.startswith(f"{dep}/")}
    return direct.union(*map(_upstream, direct - {stage}))


def test_dependencies_are_those_that_make_deps_writes() -> None:
    text = DVC_YAML.read_text(encoding="utf-8")
    assert rewritten(text) == text, "run `make deps`"
    linked = {path.name: path.resolve() for path in (ROOT / SHARED).iterdir()}
    assert linked == links(shared(STAGES.values())), "run `make deps`"


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_file_behind_a_stage_is_a_dependency(name: str) -> None:
    listed = [ROOT / dep for dep in _deps(name)]
    listed += [link.resolve() for dep in listed if dep == ROOT / SHARED for link in dep.iterdir()]
    for path in needed(STAGES[name]):
        assert any(dep == path or dep in path.parents for dep in listed), f"{name}: {path}"


@pytest.mark.parametrize("name", HEAVY)
def test_analysis_figures_and_pages_are_far_from_what_is_computed_long(name: str) -> None:
    assert not [file for file in _files(name) if file.split("/")[0] in ("analysis", "figures", "pages", "tracking")]


def test_an_edit_makes_stale_what_it_can_change() -> None:
    stale: dict[str, set[str]] = {}
    for name in STAGES:
        for file in _files(name):
            stale.setdefault(file, set()).add(name)
    assert stale["figures/landscape.py"] == {"report", "index"}
    assert stale["analysis/claims.yaml"] == {"check", "analyze", "report", "index"}  # pages show the thresholds
    assert stale["runs/training.py"] == {"train", "probe", "measure", "assumptions", "reparametrization"}
    assert stale["specs/training.py"] >= {"train", "probe", "analyze"}
    assert stale["data/textures.py"] == {"data"}
    assert stale["studies/deep_linear/network.py"] == {"dln", "dln_scan", "dln_lottery"}
    assert "${item.scale}" in _deps("dln")
    assert "parts/scale" in _deps("dln_scan")
    # parts reach a run through its own folder in parts/, so that another normalizer's file is none of its business
    assert not [file for file in stale if file.startswith(("nn/normalizers/", "nn/networks/", "studies/scales/"))]
    for watching in ("runs/progress.py", "runs/cost.py", "stages/command.py", "tracking/store.py"):
        assert watching not in stale


def test_observers_give_nothing_to_what_computes() -> None:
    watching = observers()
    assert {"normlab.runs.progress", "normlab.runs.cost", "normlab.stages.command"} <= watching
    for name, module in modules().items():
        if name not in watching and not name.startswith("normlab.stages"):
            assert not module.imports & watching, f"{name} imports an observer"
            assert not module.by_name & watching, f"{name} imports an observer by name"
    for name in WITHOUT_NUMBERS:
        kinds = {type(node) for node in modules()[name].tree.body}
        assert not kinds & {ast.AugAssign, ast.With, ast.For}, f"{name} computes something"


def test_modules_named_at_run_time_are_observers() -> None:
    assert {name for module in modules().values() for name in module.by_name} <= observers()


def _sections_read(name: str) -> set[str]:
    """The sections that a stage's files read: `load_section(…, "x", …)`, `params["x"]` and `params.get("x")`."""
    found = set()
    trees = [modules()[name_of(path)].tree for path in needed(STAGES[name]) if path.suffix == ".py"]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            owner = getattr(node.func, "value", None)
            of_params = "params" in (getattr(owner, "attr", ""), getattr(owner, "id", ""))
            arguments = node.args if function == "load_section" or (function == "get" and of_params) else []
        elif isinstance(node, ast.Subscript):
            of_params = "params" in (getattr(node.value, "attr", ""), getattr(node.value, "id", ""))
            arguments = [node.slice] if of_params else []
        else:
            continue
        found |= {argument.value for argument in arguments if isinstance(argument, ast.Constant)}
    return {str(section) for section in found} & SECTIONS


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"check"}))
def test_declared_settings_are_those_that_the_stage_reads_also_through_helpers(name: str) -> None:
    declared = settings(STAGES[name]).get("params", [])
    assert {key.partition(".")[0] for key in declared} == _sections_read(name)


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"check"}))
def test_everything_follows_from_the_check(name: str) -> None:
    assert "check" in _upstream(name)


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"analyze"}))
def test_only_the_analysis_reads_the_folder_of_all_runs(name: str) -> None:
    # another stage would run again for every new run, and could not run beside the stage that writes into the folder
    outputs = {str(out) for stage in STAGES.values() for out in settings(stage).get("outs", [])}
    folders = {str(parent) for out in outputs for parent in Path(out).parents} - outputs
    assert not folders & set(_deps(name))


@pytest.mark.parametrize("name", sorted(STAGES))
def test_stages_can_be_cached_and_rerun(name: str) -> None:
    stage = settings(STAGES[name])
    assert "foreach" not in STAGES[name] or "grid" not in stage.get("params", []), (
        "one more seed would rerun all others"
    )
    outs = {
        path: flags
        for out in stage.get("outs", [])
        for path, flags in ({out: {}} if isinstance(out, str) else out).items()
    }
    assert all(set(flags) <= {"cache"} for flags in outs.values()), "a persistent output turns the run cache off"
    assert not [path for path in (*outs, *_deps(name)) if str(path).startswith("/")]


def test_no_part_of_a_command_is_empty() -> None:
    # DVC wraps long commands in dvc.lock, where two spaces become one: the stage would look changed for ever
    entries = load_yaml(ROOT / "runs.yaml")
    assert all(text for name in ("runs", "dln_cells") for entry in entries[name].values() for text in entry.values())
    assert not [name for name, stage in STAGES.items() if "  " in settings(stage)["cmd"].strip()]


def test_the_check_sees_all_sections_and_parts() -> None:
    assert program(STAGES["check"]) == CHECK
    assert "src/normlab/specs" in _deps("check")
    assert {"params.yaml", "runs.yaml", "parts"} <= set(_deps("check"))
