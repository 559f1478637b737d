"""The README's promises that a machine can check."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.pages.readme import BEGIN, END, claims_record, put_table, results_table
from normlab.tracking.collected import STUDIES


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


def test_the_table_of_results_is_the_one_that_the_record_gives(repository: Path, readme: str) -> None:
    """`python -m normlab.stages.readme` writes it; no number in it is written by hand."""
    assert readme == put_table(readme, results_table(claims_record(repository), repository))


def test_the_table_says_what_it_was_measured_on(tmp_path: Path) -> None:
    record = tmp_path / "reports" / "published" / "tiny" / "claims.json"
    record.parent.mkdir(parents=True)
    record.write_text("[]")
    settings = {
        "data": {"title": "Colors", "counts": {"train": 6000, "test": 30}},
        "grid": {"network": ["vgg11"], "learning_rate": [0.1, 0.5], "seed": [0, 1]},
        "train": {"width": 0.25, "batch_size": 16, "steps": 1500},
        "dln": {"steps": 300, "seeds": [0]},
    }
    record.with_name("settings.json").write_text(json.dumps(settings))
    assert (
        "Colors, 6,000 training images; vgg11 at 0.25 of its width, batch 16, 1,500 updates, learning rate 0.1, 0.5, "
        "2 seeds; deep linear: 300 updates, 1 seeds."
    ) in results_table(record, tmp_path)
    settings["learning_rate_grid"] = {"norm_layer": [], "learning_rate": [1.0, 2.0]}
    record.with_name("settings.json").write_text(json.dumps(settings))
    assert "2 seeds; deep linear" in results_table(record, tmp_path)
    settings["learning_rate_grid"]["norm_layer"] = ["none", "batch"]
    record.with_name("settings.json").write_text(json.dumps(settings))
    assert "2 seeds (none, batch also at 1, 2); deep linear" in results_table(record, tmp_path)
