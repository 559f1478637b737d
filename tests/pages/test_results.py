from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.figures import runs
from tests.pages.study import CLAIMS

from normlab.analysis.statistics import first_reached
from normlab.figures.landscape import figure_4
from normlab.pages.results import Results
from normlab.specs.strict import InputError


def test_measurements_by_study_and_probe(results: Results) -> None:
    frame = results.measurements("vgg", probe=["history", "test"])
    assert set(frame["study"]) == {"vgg"}
    assert set(frame["probe"]) == {"history", "test"}
    assert set(results.measurements("dln", probe="shift")["probe"]) == {"shift"}
    assert results.measurements("resnet").empty


def test_the_main_network_is_the_one_that_claims_are_decided_on(results: Results, tmp_path: Path) -> None:
    one = results.measurements("vgg", probe="test")
    both = pd.concat([one, one.assign(network="vgg16")])
    (tmp_path / "tables").mkdir()
    both.to_parquet(tmp_path / "tables/measurements.parquet", index=False)
    other = Results(tmp_path / "tables", results.claims_path, results.params_path, results.manifest_path)
    assert set(other.measurements("vgg")["network"]) == {"vgg11"}
    assert set(other.measurements("vgg", network="vgg16")["network"]) == {"vgg16"}
    assert set(other.measurements("vgg", network="*")["network"]) == {"vgg11", "vgg16"}


def test_a_network_that_was_not_measured_is_not_shown_by_another(results: Results, tmp_path: Path) -> None:
    rows = results.measurements("vgg", "dln", probe="history").assign(layer="").drop(columns="place")
    (tmp_path / "tables").mkdir()
    rows.replace({"network": {"vgg11": "vgg16"}}).to_parquet(tmp_path / "tables/measurements.parquet", index=False)
    other = Results(tmp_path / "tables", results.claims_path, results.params_path, results.manifest_path)
    assert other.measurements("vgg").empty
    assert set(other.measurements("vgg", "dln")["network"]) == {"dln"}


def test_layers_come_with_the_place_that_their_network_shows(results: Results, tmp_path: Path) -> None:
    rows = results.measurements("vgg", probe="shift").drop(columns="place")
    rows = rows[rows["layer"].isin(["features.conv1", "features.conv2"])]
    structure = rows.head(1).assign(probe="structure", quantity="place", layer="features.conv2", step=0, value=9.0)
    (tmp_path / "tables").mkdir()
    pd.concat([rows, structure]).to_parquet(tmp_path / "tables/measurements.parquet", index=False)
    other = Results(tmp_path / "tables", results.claims_path, results.params_path, results.manifest_path)
    places = other.measurements("vgg").drop_duplicates("layer").set_index("layer")["place"]
    assert places["features.conv2"] == 9
    assert np.isnan(places["features.conv1"])
    assert "structure" not in set(other.measurements("vgg")["probe"])


def test_the_pages_show_the_network_that_claims_are_decided_on_whatever_its_family(
    results: Results, tmp_path: Path
) -> None:
    params = results.params_path.read_text(encoding="utf-8").replace("network: vgg11", "network: resnet20")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    (tmp_path / "tables").mkdir()
    both = results.measurements("vgg", probe="landscape")
    both = pd.concat([both, both.assign(study="resnet", network="resnet20", value=0.5)])
    both.to_parquet(tmp_path / "tables/measurements.parquet", index=False)
    other = Results(tmp_path / "tables", results.claims_path, tmp_path / "params.yaml", results.manifest_path)
    assert (results.study, other.study) == ("vgg", "resnet")
    shown = other.measurements(other.study, probe="landscape")
    assert set(shown["network"]) == {"resnet20"}
    picture = figure_4(shown, other.spec.learning_rate, eta_min_factor=0.5)
    assert "loss along" in picture.axes[0].get_title()
    assert picture.axes[3].get_title(), "the paper's VGG stands beside it, not on its axes"


def test_settings_come_from_the_parameters(results: Results) -> None:
    assert (results.spec.window, results.spec.learning_rate) == (5, 0.1)
    assert (results.grid("probe"), results.grid("dln")[0]) == ((0.5, 1.0, 2.0, 4.0), 0.01)


def test_cells_are_those_that_the_claims_see(results: Results) -> None:
    compared = results.cells("vgg", probe="history").compared()
    assert [cell.name for cell in compared] == [f"vgg11-{kind}-0.1" for kind in ("batch", "l1", "noisy_batch", "none")]
    table = results.quantities["steps_to_50_percent"].measure(compared[0]).values["value"]
    values = np.array([runs.accuracy("batch", 0.1, 1, step) for step in range(runs.STEPS)])
    assert table[1] == first_reached(values, 0.5, 5)
    assert len(results.cells("reparametrization").of_study("reparametrization")) == 2


def test_claims_of_a_page(results: Results) -> None:
    assert results.claims == CLAIMS
    assert [claim["id"] for claim in results.claims_on("02-landscape")] == ["C2"]
    assert results.claims_on("08-probe-your-own-model") == []


def test_a_study_that_did_not_run_is_an_empty_table(results: Results) -> None:
    assert results.theory().empty


@pytest.mark.parametrize("missing", ["tables", "claims", "params", "manifest"])
def test_a_missing_file_is_named(paths: dict[str, str], missing: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'gone'}.*no such file"):
        Results.load(**{**paths, missing: str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("train", "probe", "said"),
    [
        ("0.0", "0.0004", "λ = 0.0004; training itself had no weight decay."),
        ("0.002", "0.0004", "λ = 0.002; training had it, too."),
    ],
)
def test_the_penalty_is_that_of_training_where_it_has_one(
    results: Results, tmp_path: Path, train: str, probe: str, said: str
) -> None:
    (tmp_path / "params.yaml").write_text(f"train: {{weight_decay: {train}}}\nprobe: {{penalty: {probe}}}\n")
    other = Results(results.tables, results.claims_path, tmp_path / "params.yaml", results.manifest_path)
    assert other.penalty_sentence == said
