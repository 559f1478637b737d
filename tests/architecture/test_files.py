"""What is committed: nothing of one machine, empty notebooks, pinned workflows, a licence."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.architecture.imports import SOURCE

from normlab.specs.yaml12 import load_yaml

ROOT = SOURCE.parent
# written in pieces, so that this file does not hold what it looks for
REGISTRIES = [f"{name}.org" for name in ("py" + "pi", "files.python" + "hosted")] + ["registry." + "npmjs"]
FOLDERS = re.compile(r"(?<![\w.~)}])/(?:ro" r"ot|ho" r"me|wo" r"rk|Us" r"ers)/[\w.-]+")  # fmt: skip


def _tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a Git checkout, so nothing is tracked")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_of_one_machine_is_tracked() -> None:
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for registry in REGISTRIES:
            assert registry not in text, f"{path}: names the registry {registry}"
        assert not FOLDERS.search(text), f"{path}: absolute path {FOLDERS.search(text)}"


def test_results_and_environments_are_not_tracked() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in _tracked()]
    # tables are generated outputs too, but for the small ones of published records
    unwanted = re.compile(
        r"^(\.venv|mlruns|mlflow\.db|logs|scratch)|\.(pt|npy|pyc)$|^(?!reports/published/).*\.parquet$"
    )
    assert not [name for name in names if unwanted.search(name)]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_workflows_are_thin_pinned_and_modest(path: Path) -> None:
    workflow = load_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), f"{action}: pin it by its full SHA"
        assert re.match(r" # v\d+\.\d+\.\d+", comment), f"{action}: say which tag this is"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        for step in job["steps"]:
            assert re.match(r"(make|\.ci/run)\b", step.get("run", "make")), "the logic lives in make targets"


def test_continuous_integration_runs_what_the_readme_says() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert "normlab contributors" in text


@pytest.mark.parametrize("preset", ["nonsense", "quick paper", "../quick"])
def test_unknown_preset_is_refused_before_anything_runs(preset: str) -> None:
    before = (ROOT / "params.yaml").read_bytes()
    done = subprocess.run(["make", "repro", f"PRESET={preset}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    known = "quick cifar-cpu paper-cpu paper paper-gpu projection lottery"
    assert f"PRESET: expected one of {known}, got '{preset}'" in done.stderr
    assert (ROOT / "params.yaml").read_bytes() == before
