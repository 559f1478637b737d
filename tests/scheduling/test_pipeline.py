"""dvc.yaml is read as DVC reads it."""

import contextlib
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from normlab.scheduling.pipeline import Stage, Writers, read_stages
from normlab.specs.strict import InputError


def test_the_stages_of_this_repository_are_those_of_dvc(repository: Path) -> None:
    ours = read_stages(repository / "dvc.yaml", yaml.safe_load((repository / "runs.yaml").read_text()))
    with contextlib.chdir(repository), Repo() as repo:
        theirs = {stage.addressing: stage for stage in repo.index.stages}
    assert ours.keys() == theirs.keys()
    for name, stage in theirs.items():
        assert ours[name].cmd == " ".join(stage.cmd.split())
        deps = [dep.def_path for dep in stage.deps if not hasattr(dep, "params")]
        sections = [section for dep in stage.deps if hasattr(dep, "params") for section in dep.params]
        assert sorted(ours[name].deps) == sorted(deps)
        assert sorted(ours[name].params) == sorted(sections)
        assert sorted(ours[name].outs) == sorted(out.def_path for out in stage.outs)
        assert sorted(ours[name].uncached) == sorted(out.def_path for out in stage.outs if not out.use_cache)


def test_writers_and_the_order_of_stages(repository: Path) -> None:
    stages = read_stages(repository / "dvc.yaml", yaml.safe_load((repository / "runs.yaml").read_text()))
    writers = Writers(stages.values())
    assert writers.of("data/prepared/manifest.json") == {"data"}
    assert writers.of("models/runs") == {name for name in stages if name.startswith("train@")}
    assert writers.of("src/normlab/nn") == set()
    seen: set[str] = set()
    for name, stage in stages.items():
        assert set().union(*map(writers.of, stage.deps)) <= seen
        seen.add(name)


def test_a_list_is_iterated_over_by_its_entries(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        'stages: {page: {foreach: "${pages}", do: {cmd: "show ${item}", outs: ["${item}.html"]}}}'
    )
    stages = read_stages(tmp_path / "dvc.yaml", {"pages": ["a", "b"]})
    assert stages["page@b"] == Stage("page@b", "show b", (), (), ("b.html",))
    assert (stages["page@b"].template, stages["page@b"].key) == ("page", "b")


@pytest.mark.parametrize(
    "text", ["stages: {a: {cmd: x, deps: ['${gone}']}}", "stages: {a: {deps: []}}", "a: [", "a: 1"]
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(InputError, match=r"dvc\.yaml: not a dvc\.yaml"):
        read_stages(tmp_path / "dvc.yaml", {})
    with pytest.raises(InputError, match="no such file"):
        read_stages(tmp_path / "other.yaml", {})
