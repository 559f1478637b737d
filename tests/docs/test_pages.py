"""The documentation: its programs run, its pages are all in the contents, and the reference names what exists."""

import doctest
import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.architecture.imports import SOURCE

from normlab import probes, theory
from normlab.specs.yaml12 import load_yaml

ROOT = SOURCE.parent
PAGES = ROOT / "docs" / "pages"
WITH_PROGRAMS = sorted(page for page in PAGES.rglob("*.md") if "```python" in page.read_text(encoding="utf-8"))


def _name(page: Path) -> str:
    return page.relative_to(PAGES).as_posix()


@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=_name)
def test_programs_run(page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a page one after the other, as a reader would type them."""
    monkeypatch.syspath_prepend(str(ROOT))  # the examples are files of the repository
    space: dict[str, Any] = {}
    for program in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(program, _name(page), "exec"), space)
    assert capsys.readouterr().out


def test_every_page_is_in_the_contents() -> None:
    def listed(entries: list[Any]) -> list[str]:
        return [name for entry in entries for name in ([entry] if isinstance(entry, str) else listed(*entry.values()))]

    assert sorted(listed(load_yaml(ROOT / "mkdocs.yml")["nav"])) == sorted(map(_name, PAGES.rglob("*.md")))


def test_the_reference_has_what_the_library_offers() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (PAGES / "api").glob("*.md"))
    names = re.findall(r"^::: normlab\.([\w.]+)$", text, flags=re.MULTILINE)
    offered = {*probes.__all__, *theory.__all__, "normalizer", "network", "vgg", "resnet", "deep_linear"}
    offered -= {name for name in theory.__all__ if name[0].isupper()} - {"Statement"}  # results, which share its fields
    assert {name.rpartition(".")[2] for name in names} - {"lightning", "hugging_face", "accelerate"} >= offered


def test_examples_in_docstrings_run() -> None:
    """Of all modules but the probes, which have a test of their own."""
    modules = [
        path for path in sorted((SOURCE / "normlab").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")
    ]
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in modules]
    names = [name for name in names if not name.startswith(("normlab.probes", "normlab.integrations"))]
    assert names
    for name in names:
        module = importlib.import_module(name.removesuffix(".__init__"))
        failed, _ = doctest.testmod(module)
        assert failed == 0, name


@pytest.mark.skipif(not (ROOT / ".venv-docs").is_dir(), reason="the documentation's environment is made by make docs")
def test_the_site_is_built_without_a_warning() -> None:
    python = ROOT / ".venv-docs" / "bin" / "python"
    command = [python, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    equations = (ROOT / "build/docs/definitions.html").read_text(encoding="utf-8")
    assert "<math" in equations
    assert r"\(" not in equations
    assert "&lt;g, yhat&gt;^2 / ||yhat||^2" in (ROOT / "build/docs/api/theory.html").read_text(encoding="utf-8")
