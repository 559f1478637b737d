"""The README's promises that a machine can check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.analysis.readme import BEGIN, END
from normlab.tracked_runs import STUDIES


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def test_library_example_runs_literally(readme: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(blocks) == 1
    command = [sys.executable, "-W", "error", "-c", blocks[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"loss \S+ in \S+ … \S+, effective beta \S+\ncosine .*: \S+\n", done.stdout)


def test_place_of_the_results_is_marked_once(readme: str) -> None:
    assert readme.count(BEGIN) == readme.count(END) == 1


def test_named_files_exist(readme: str, repository: Path) -> None:
    named = re.findall(r"`((?:src|notebooks|tests|presets|\.github|\.ci)/[\w./-]+)`", readme)
    assert named
    assert not [name for name in named if not (repository / name).exists()]


def test_make_targets_exist(readme: str, repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    assert (
        set(re.findall(r"make ([a-z][a-z-]+)", "\n".join(re.findall(r"`[^`]+`|^make.*$", readme, flags=re.M))))
        <= targets
    )


def test_named_experiments_exist(readme: str) -> None:
    assert set(re.findall(r"`normlab-(\w+)`", readme)) <= set(STUDIES)
