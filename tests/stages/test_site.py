"""Program `site`: records with and without tables, in a folder that works wherever it is put."""

import json
import posixpath
import re
import shutil
from pathlib import Path

import pytest
from tests.pages.study import write_results

from normlab.pages.readme import marker
from normlab.specs.strict import InputError
from normlab.specs.yaml12 import load_yaml
from normlab.stages import site

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def root(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a record of either kind."""
    root = tmp_path_factory.mktemp("repository")
    published = root / "reports" / "published"
    shutil.copytree(repository / "reports" / "published" / "cifar10-jpeg-5000", published / "old")
    write_results(published / "new")
    params, manifest = published / "new" / "params.yaml", published / "new" / "manifest.json"
    settings = {**load_yaml(params), "data": json.loads(manifest.read_text())}
    settings["report"]["notebooks"] = ["03-covariate-shift", "09-projection"]  # of the second it has nothing to show
    params.unlink()
    manifest.unlink()
    (published / "new" / "settings.json").write_text(json.dumps(settings))
    shutil.copytree(repository / "notebooks", root / "notebooks")
    (root / "README.md").write_text(f"{marker('results of old')}\n<!-- results: end -->\n")
    return root


@pytest.fixture(scope="module")
def built(root: Path) -> Path:
    site.main(["--root", str(root), "--out", str(root / "site")])
    return root / "site"


def links(path: Path) -> list[str]:
    found = re.findall(r'(?:href|src)="([^"#]+)', path.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.slow
def test_a_record_with_tables_has_pages_and_one_without_has_one(built: Path) -> None:
    names = {path.relative_to(built).as_posix() for path in built.rglob("*.*")}
    assert names == {"index.html", "normlab.js", "old/index.html", "new/index.html", "new/03-covariate-shift.html"}
    assert 'id="C9"' in (built / "old" / "index.html").read_text()
    assert "NOT the official CIFAR data" in (built / "new" / "03-covariate-shift.html").read_text()


@pytest.mark.slow
def test_every_page_names_its_record_and_leads_to_the_other(built: Path) -> None:
    for page in built.rglob("*.html"):
        own = page.parent.name if page.parent != built else "old"
        other = {"old": "new", "new": "old"}[own]
        head = page.read_text().partition("<main")[0]
        assert f"Record <strong>{own}</strong>" in head
        (link,) = re.findall(rf'<a href="([^"]+)">{other}</a>', head)
        assert (page.parent / link).resolve() == built / other / "index.html"


@pytest.mark.slow
def test_links_lead_to_pages_of_the_site_or_to_sources(built: Path, repository: Path) -> None:
    for page in built.rglob("*.html"):
        for link in links(page):
            place = posixpath.normpath(f"{page.parent.relative_to(built.parent).as_posix()}/{link}")
            if place.startswith("src/"):
                assert (repository / place).is_file(), f"{page}: {link}"
            else:
                assert (built.parent / place).is_file(), f"{page}: {link}"


def test_a_deployed_site_leads_to_the_sources_at_their_address_and_large_pages_are_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only = tmp_path / "repository"
    shutil.copytree(root / "reports" / "published" / "old", only / "reports" / "published" / "old")
    shutil.copyfile(root / "README.md", only / "README.md")
    address = "https://example.org/someone/normlab/blob/0123"
    monkeypatch.setattr(site, "LARGEST_PAGE", 1000)
    site.main(["--root", str(only), "--out", str(tmp_path / "out"), "--sources", address])
    assert re.search(r"note: \S+out/old/index\.html has \S+ MB, more than 0\.001\n", capsys.readouterr().err)
    for page in (tmp_path / "out" / "index.html", tmp_path / "out" / "old" / "index.html"):
        text = page.read_text()
        assert f'href="{address}/src/normlab/' in text
        assert '"../../src' not in text


@pytest.mark.slow
def test_a_page_that_fails_is_named_with_its_record_and_the_old_site_stays(root: Path, tmp_path: Path) -> None:
    only = tmp_path / "repository"
    shutil.copytree(root, only, ignore=shutil.ignore_patterns("site", "notebooks"))
    notebook = json.loads((root / "notebooks" / "03-covariate-shift.ipynb").read_text(encoding="utf-8"))
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["source"] = ["1 / 0"]
    (only / "notebooks").mkdir()
    (only / "notebooks" / "03-covariate-shift.ipynb").write_text(json.dumps(notebook))
    (only / "site").mkdir()
    (only / "site" / "index.html").write_text("old")
    with pytest.raises(InputError, match=r"^new: .*03-covariate-shift.ipynb: the cell .* ZeroDivisionError"):
        site.main(["--root", str(only), "--out", str(only / "site")])
    assert (only / "site" / "index.html").read_text() == "old"


def test_a_bad_address_is_refused_and_the_old_site_stays(root: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    with pytest.raises(InputError, match="SOURCES: expected an address https://"):
        site.main(["--root", str(root), "--out", str(tmp_path), "--sources", "javascript:x"])
    assert (tmp_path / "index.html").read_text() == "old"
