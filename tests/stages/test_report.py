"""The report stage in earnest: papermill, a kernel, nbconvert, and what is on disk afterwards."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from tests.pages.study import write_results

from normlab.pages.shell import PAGES
from normlab.specs.strict import InputError
from normlab.stages import report
from normlab.stages.site import LARGEST_PAGE

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_results(tmp_path_factory.mktemp("results"))


def render(repository: Path, notebook: str | Path, out: Path, *, params: str = "", **settings: str):
    """`python -m normlab.stages.report` as DVC runs it, in its own process."""
    command = [sys.executable, "-m", "normlab.stages.report", "--notebook", str(notebook), "--out", str(out)]
    command += ["--params", params] if params else []
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)


def write_notebook(path: Path, *cells: str) -> Path:
    code = [nbformat.v4.new_code_cell(source) for source in cells]
    code[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=kernel), path)
    return path


@pytest.mark.slow
def test_a_page_is_self_contained_and_has_the_same_bytes_again(repository, paths, tmp_path) -> None:
    pages = []
    for name in ("first", "second"):
        done = render(repository, "03-covariate-shift", tmp_path / f"{name}.html", **paths)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        pages.append((tmp_path / f"{name}.html").read_bytes())
    assert pages[0] == pages[1]
    text = pages[0].decode()
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//|@import|<link|<iframe""", text)
    packed = [f'<script type="{kind}+gzip">' for kind in ("application/json", "text/csv")]
    assert re.findall(r"<script[^>]*>", text) == ['<script defer src="normlab.js">', *packed]
    assert text.count("<figure id=") == 2
    assert text.count('src="data:image/svg+xml,') == 2
    assert len(pages[0]) < LARGEST_PAGE
    assert "<math" in text
    assert "$" not in re.sub(r"<[^>]+>", "", text.partition("<main>")[2]), "a formula was left as LaTeX"
    assert 'class="code"' in text
    assert str(tmp_path) not in text
    assert "injected" not in text.lower()
    assert text.count("<h1") == 1


@pytest.mark.slow
def test_probing_one_s_own_model_runs_and_keeps_its_tracker_to_itself(repository, tmp_path) -> None:
    before = sorted(path.name for path in repository.iterdir())
    done = render(repository, "08-probe-your-own-model", tmp_path / "own.html")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "own.html").read_text(encoding="utf-8").replace("<wbr/>", "")  # where long names may break
    assert "landscape/effective_beta" in text
    assert "shift/layer4.1.conv2/cosine" in text
    assert text.count('class="code shown"') == 4
    assert 'class="output"' not in text, "a warning or a stray value is on the page"
    assert sorted(path.name for path in repository.iterdir()) == before


def test_an_unknown_parameter_is_refused_before_anything_runs(repository, paths, tmp_path) -> None:
    out = tmp_path / "page.html"
    done = render(repository, "02-landscape", out, tabels=paths["tables"])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "unknown parameter 'tabels'; accepted: tables, claims, params, manifest" in done.stderr
    assert not out.exists()


def test_a_failing_cell_is_one_line_and_leaves_the_old_page(repository, tmp_path) -> None:
    notebook = write_notebook(tmp_path / "broken.ipynb", "depth = 1", "print('fine')", "{}['loss']")
    out = tmp_path / "html" / "broken.html"
    out.parent.mkdir()
    out.write_text("the old page")
    done = render(repository, notebook, out, depth="2")
    assert done.returncode == 2
    assert done.stderr == f"error: {notebook}: the cell starting with `{{}}['loss']` failed with KeyError: 'loss'\n"
    assert out.read_text() == "the old page"
    assert [path.name for path in out.parent.iterdir()] == ["broken.html"]


def test_a_killed_kernel_is_one_line(repository, tmp_path) -> None:
    notebook = write_notebook(
        tmp_path / "dead.ipynb", "depth = 1", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = render(repository, notebook, tmp_path / "page.html")
    assert done.returncode == 1
    assert done.stderr == f"error: {notebook}: its kernel died, probably out of memory\n"
    assert not (tmp_path / "page.html").exists()


def test_a_long_temporary_folder_is_no_hindrance(repository, tmp_path, monkeypatch) -> None:
    # the name of a local socket may have 107 bytes
    deep = tmp_path / ("p" * 40) / ("q" * 40)
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    notebook = write_notebook(tmp_path / "fine.ipynb", "depth = 1", "print(depth)")
    done = render(repository, notebook, tmp_path / "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(deep.iterdir())


def test_a_file_that_is_no_notebook(repository, tmp_path) -> None:
    path = tmp_path / "text.ipynb"
    path.write_text("{}")
    done = render(repository, path, tmp_path / "page.html")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: not a notebook")
    assert done.stderr.count("\n") == 1


def test_a_notebook_that_is_not_there(repository, tmp_path) -> None:
    done = render(repository, "09-nothing", tmp_path / "page.html")
    assert done.returncode == 2
    assert done.stderr == "error: notebooks/09-nothing.ipynb: no such notebook\n"


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("reports/published", "expected the folder of a record, with claims.json"),
        ("reports/published/paper-cpu", "its tables are those of runs; `make site` renders its pages"),
    ],
)
def test_a_record_that_no_page_can_be_made_of(repository, tmp_path, folder: str, said: str) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(InputError, match=re.escape(f"{folder}: {said}")):
        report.main(
            ["--notebook", str(repository / "notebooks/07-theory.ipynb"), "--record", folder, "--out", str(out)]
        )
    assert not out.exists()


def test_the_index_opens_with_the_answer_and_the_landscape(repository, paths, tmp_path) -> None:
    out = tmp_path / "index.html"
    command = [sys.executable, "-m", "normlab.stages.index", "--out", str(out)]
    command += [part for name, value in paths.items() for part in (f"--{name}", value)]
    pages = []
    for _ in range(2):
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]
    text = pages[0].decode()
    assert text.index('class="answers"') < text.index("<figure id=") < text.index('class="claims"')
    assert text.count('<th scope="row"><a href="') == 6
    assert '<p>Not run: <a href="04-activations.html#C4">C4</a>' in text
    assert all(f'href="{name}.html"' in text for name in PAGES)
    assert "Preset <strong>tiny</strong>" in text
    assert "CIFAR-10 &lt;from JPEG&gt;, 1,280 training and 256 test images, NOT the official CIFAR data" in text
    assert "digest 0123456789abcdef" in text
    assert (tmp_path / "normlab.js").stat().st_size < 1_500_000
