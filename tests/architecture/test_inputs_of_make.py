"""What is given to make or to a workflow is data: no shell and no make ever reads it as a command."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.specs.yaml12 import load_yaml

INPUTS = {
    "CANARY": "rerun",
    "RECORD": "record",
    "ADD": "record",
    "RUN": "rerun",
    "CLONE": "rerun",
    "BASE": "metrics-diff",
    "PORT": "ui",
    "WORKERS": "test",
    "ARGS": "test",
    "PRESET": "repro",
    "JOBS": "repro",
    "SCHEDULER": "repro",
}
WORKFLOWS = (Path(__file__).resolve().parents[2] / ".github/workflows").glob("*.yml")
HOSTILE = [
    "x';touch owned;'",
    'x";touch owned;"',
    "$(touch owned)",
    "`touch owned`",
    "$(shell touch owned)",
    "x\ntouch owned",
]
RECORDER = "import json, os, sys; json.dump([sys.argv, dict(os.environ)], open('seen.json', 'w'))"


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """The Makefile with an environment whose python only writes down how it was called."""
    shutil.copy(repository / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    # with -c it is the one-line program of the Makefile that is to run, in earnest
    real = f'exec "{sys.executable}"'
    python.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then {real} "$@"; fi\n{real} -c "{RECORDER}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pytest.py").write_text(RECORDER)  # what WITH_ARGS starts in the test
    (tmp_path / ".venv/.synced").write_text(f"{tmp_path.resolve()}\n")
    return tmp_path


@pytest.mark.parametrize("through", ["environment", "command line"])
@pytest.mark.parametrize("name", INPUTS)
def test_no_input_is_executed(copy: Path, name: str, through: str) -> None:
    for value in HOSTILE:
        environment = {key: text for key, text in os.environ.items() if not key.startswith("MAKE")}
        command = ["make", "--silent", INPUTS[name]]
        if through == "environment":
            environment[name] = value
        else:
            command.append(f"{name}={value}")
        (copy / "seen.json").unlink(missing_ok=True)
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not (copy / "owned").exists(), f"{name}={value!r} was executed"
        if name in (
            "CANARY",
            "RECORD",
            "ADD",
            "RUN",
            "PORT",
            "CLONE",
            "JOBS",
            "SCHEDULER",
        ):  # whose programs take them from there
            assert json.loads((copy / "seen.json").read_text())[1][name] == value, done.stderr


def test_the_words_of_args_reach_pytest(copy: Path) -> None:
    command = ["make", "--silent", "test", "WORKERS=3", "ARGS=-k 'a or b' --co"]
    subprocess.run(command, cwd=copy, timeout=60, check=True)
    seen = json.loads((copy / "seen.json").read_text())[0]
    assert seen[1:] == ["-n", "3", "-k", "a or b", "--co"]


@pytest.mark.parametrize("path", sorted(WORKFLOWS), ids=lambda path: path.stem)
def test_no_workflow_writes_an_expression_into_a_shell(path: Path) -> None:
    for job in load_yaml(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "hand it over as an environment variable"


def test_the_makefile_pastes_no_input_into_a_recipe(repository: Path) -> None:
    recipes = [line for line in (repository / "Makefile").read_text().splitlines() if line.startswith("\t")]
    pasted = re.compile(r"\$[({](" + "|".join(INPUTS) + r"|CURDIR)[)}]")
    # PRESET is one of three words there, checked in the line before
    assert [line for line in recipes if pasted.search(line) and "PRESET" not in line] == []
