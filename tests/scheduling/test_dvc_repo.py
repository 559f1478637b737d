"""The inner interface of DVC: of the version that is known, and refused with any other."""

import tomllib
from pathlib import Path

import dvc
import pytest

from normlab.scheduling.dvc_repo import DVC_VERSION, check_version, open_pipeline
from normlab.specs.strict import InputError


def test_the_installed_and_the_pinned_version_are_the_one_that_is_known(repository: Path) -> None:
    check_version(dvc.__version__)
    major, minor = map(int, DVC_VERSION.split("."))
    pinned = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]["pipeline"]
    assert f"dvc>={DVC_VERSION},<{major}.{minor + 1}" in pinned


@pytest.mark.parametrize("version", ["3.66.1", "3.68.0", "3.670.0", "4.67.1"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match=f"DVC {version}: stages run side by side through the inner interface of DVC"):
        check_version(version)


def test_a_folder_without_dvc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DVC: you are not inside of a DVC repository"), open_pipeline(tmp_path):
        pass


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's use of pygtrie
def test_the_projects_own_pipeline_can_be_opened(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    with open_pipeline(Path()) as pipeline:
        assert pipeline.names[0] == "check"
        assert pipeline.needs["check"] == set()
        assert "normlab.stages.train" in pipeline.programs()
        assert {"data", "analyze"} < set(pipeline.names)
        assert pipeline.needs["analyze"] >= {"check", "theory"}
