"""A record of deep linear networks alone: no images, no trainings, a lottery of seeds."""

import contextlib
import json
from pathlib import Path

import pytest
from tests.architecture.imports import SOURCE
from tests.records.conftest import PARAMS

from normlab.pages.readme import marker
from normlab.pages.records import Record, scale
from normlab.records.results import unpack
from normlab.stages import data, dln, dln_lottery, record, site

pytestmark = pytest.mark.pipeline
GRID = PARAMS[PARAMS.index("grid:") : PARAMS.index("train:")]
LOTTERY = "dln_lottery: [{norm_layer: [none, batch], learning_rate: [1.0e-6], seeds: 3}]"
NO_NETWORKS = (
    PARAMS.replace(GRID, "grid: []\n")
    .replace("dln_lottery: []", LOTTERY)
    .replace("norm_layer: [batch], steps: [0], layers", "norm_layer: [], steps: [0], layers")
    .replace("norm_layer: [none], steps: [0], step_sizes", "norm_layer: [], steps: [0], step_sizes")
    .replace("studies: [training, dln, theory]", "studies: [dln, dln_lottery]")
    .replace("notebooks: [01-training]", "notebooks: [06-deep-linear]")
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a record of a deep linear cell and one of two cells of the lottery."""
    clone, root = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("repository")
    (clone / "params.yaml").write_text(NO_NETWORKS)
    with contextlib.chdir(clone):
        data.main([])
        dln.main(["--norm-layer", "none", "--learning-rate", "1e-6", "--out", "data/studies/dln/none-1e-06"])
        point = ["--norm-layer", "none", "--learning-rate", "1e-6", "--seeds", "3"]
        dln_lottery.main([*point, "--out", "data/studies/dln_lottery/none-1e-06"])
    record.main(["drawn", "--root", str(root), "--freeze"])
    record.main(["drawn", "--root", str(root), "--add", str(clone)])
    return root


def test_it_is_rendered_and_says_what_was_measured(repository: Path) -> None:
    folder = repository / "reports/published/drawn"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["finished"]) == ["dln/none-1e-06", "dln_lottery/none-1e-06"]
    text = (folder / "README.md").read_text()
    said = "deep linear: 4 updates, 2 seeds; one-seed lottery: 3 seeds (none (plain), BatchNorm)."
    assert said in text
    assert Record(folder).scale == said
    assert "vgg" not in text.partition("\n## ")[0]
    assert "**. Finished: " in text  # no hours are kept of what is no training, so none are said


def test_it_says_what_many_seeds_say_of_the_paper_s_one(repository: Path) -> None:
    folder = repository / "reports/published/drawn"
    assert "share of seeds" in (folder / "figures/lottery.svg").read_text()
    told = (folder / "figures/lottery.md").read_text()
    assert told.startswith("- ")
    assert "- Peak of the effective β at least that of the paper's network: none (plain) in " in told
    assert "| Peak of the effective β | none (plain) | 3 |" in (folder / "README.md").read_text().partition(told)[2]
    for page, heading in (("README.md", "## One seed is a draw"), ("what-we-found.md", "**[One seed is a draw](")):
        text = (folder / page).read_text()
        assert heading in text
        assert told in text


def test_pages_know_what_its_own_studies_say(repository: Path, tmp_path: Path) -> None:
    record = Record(repository / "reports/published/drawn")
    assert list(unpack(record, tmp_path).told.items()) == list(record.told.items()) != []


def test_its_site_has_a_page_of_the_deep_linear_network(repository: Path, tmp_path: Path) -> None:
    (repository / "notebooks").symlink_to(SOURCE.parent / "notebooks")
    (repository / "README.md").write_text(f"{marker('results of drawn')}\n<!-- results: end -->\n")
    site.main(["--root", str(repository), "--out", str(tmp_path / "site")])
    index = (tmp_path / "site/drawn/index.html").read_text()
    assert "one-seed lottery: 3 seeds" in index
    marks = ('id="figure-final-loss', "Peak of the effective β at least", 'id="figure-training')
    places = [index.index(mark) for mark in marks]
    assert places == sorted(places)  # what many seeds say leads, with its sentences
    assert (tmp_path / "site/drawn/06-deep-linear.html").is_file()


def test_with_networks_it_says_both() -> None:
    settings = json.loads((Path(__file__).parents[2] / "reports/published/paper-cpu/settings.json").read_text())
    without = scale(settings | {"grid": []})
    assert scale(settings).endswith(f"; {without}")
    assert scale({"grid": []}) == ""
