import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.analysis.outputs import PARAMS, write_outputs
from tests.analysis.synthetic import Kind

from normlab.pages.readme import marker
from normlab.specs.strict import InputError
from normlab.stages import analyze, readme
from normlab.tables.frames import load_histograms, load_measurements

FILES = (
    "tables/measurements.parquet",
    "tables/histograms.parquet",
    "tables/theory.parquet",
    "metrics.json",
    "claims.json",
    "summary.json",
    "plots/training.csv",
    "plots/landscape.csv",
)


def run(root: Path, params: Path) -> dict[str, Any]:
    analyze.main(["--params", str(params), "--root", str(root), "--out", str(root / "reports")])
    return {name: strictly(root / "reports" / name) for name in ("metrics.json", "claims.json")}


def strictly(path: Path) -> Any:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path.name} holds {constant}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("study")
    return root, run(root, write_outputs(root))


@pytest.mark.pipeline
def test_all_outputs_are_written(analyzed: tuple[Path, dict[str, Any]]) -> None:
    root, _ = analyzed
    assert all((root / "reports" / name).is_file() for name in FILES)
    assert len(load_measurements(root / "reports/tables/measurements.parquet")) > 1000
    assert len(load_histograms(root / "reports/tables/histograms.parquet")) == 12
    assert strictly(root / "reports/summary.json")["test_accuracy"]["batch"] == 0.85
    assert len(pd.read_csv(root / "reports/plots/landscape.csv")["normalizer"].unique()) == 2


@pytest.mark.pipeline
def test_every_claim_is_reported_and_two_seeds_decide_none_that_needs_more(
    analyzed: tuple[Path, dict[str, Any]],
) -> None:
    claims = {claim["id"]: claim for claim in analyzed[1]["claims.json"]}
    assert list(claims) == [f"C{number}" for number in range(1, 25)]
    assert claims["C9"]["verdict"] == "undecided"
    assert claims["C9"]["reason"] == "2 of 3 seeds"
    assert claims["C9"]["paper"]["number"] == pytest.approx(6.2, rel=1e-3)
    assert claims["C10"]["verdict"] == "contradicted by the paper's own data"  # whatever is measured here
    assert claims["C6"]["verdict"] == "not run"
    assert claims["C18"]["verdict"] == "erratum"  # a counterexample needs no second seed
    assert claims["C18"]["before"][0]["verdict"] == "refuted"
    same = next(part for part in claims["C11"]["parts"] if part["name"] == "same_function")
    assert same["n_seeds"] == 2


@pytest.mark.pipeline
def test_metrics_are_flat_numbers_or_null_with_a_reason(analyzed: tuple[Path, dict[str, Any]]) -> None:
    metrics = analyzed[1]["metrics.json"]
    assert set(metrics["cells"]) == {"vgg11-none-0.1", "vgg11-batch-0.1", "dln-none-1e-06", "dln-batch-1e-06"}
    batch = metrics["cells"]["vgg11-batch-0.1"]
    assert batch["final_test_accuracy"] == 0.85
    # recorded every 100 steps; it rises to 0.9 at step 2,000 and is 1 from then on: the records of the steps 1,800 to
    # 2,200 are the first five whose mean, 0.933, is at least 0.9
    assert batch["steps_to_90_percent"] == 2201
    assert metrics["cells"]["vgg11-none-0.1"]["early_loss_range"] == 3.0
    for cell in metrics["cells"].values():
        for key, value in cell.items():
            if value is None:
                assert cell[f"{key}_reason"]
    counts = {group: sum(found.values()) for group, found in metrics["claims"].items()}
    assert counts == {"empirical": 14, "deep_linear": 3, "theory": 4, "own": 3}


@pytest.mark.pipeline
def test_running_again_writes_the_same_bytes(analyzed: tuple[Path, dict[str, Any]]) -> None:
    root, _ = analyzed
    before = {name: (root / "reports" / name).read_bytes() for name in FILES}
    run(root, root / "params.yaml")
    assert {name: (root / "reports" / name).read_bytes() for name in FILES} == before


@pytest.mark.pipeline
def test_a_run_that_diverged_is_a_result(tmp_path: Path) -> None:
    params = write_outputs(tmp_path, kinds={"none": Kind(diverged_at=2500, test=0.1), "batch": Kind(reach=2000.0)})
    results = run(tmp_path, params)
    plain = results["metrics.json"]["cells"]["vgg11-none-0.1"]
    assert plain["diverged_seeds"] == 2
    assert plain["final_train_accuracy"] == 0.1
    assert plain["steps_to_90_percent"] is None
    assert plain["steps_to_90_percent_reason"] == "infinite (never reached, diverged or overflowed) for 2 of 2 seeds"
    speed = results["claims.json"][0]["parts"][0]
    # BatchNorm gets there at batch 2,201, the plain network not within 15,000: the ratio is at least 15,001/2,201
    assert speed["interval"][0] == pytest.approx(15_001 / 2_201)
    assert speed["interval"][1] is None


@pytest.mark.pipeline
def test_bad_input_ends_before_anything_is_written(tmp_path: Path) -> None:
    params = write_outputs(tmp_path)
    params.write_text(PARAMS.replace("window: 5", "window: 0"))
    with pytest.raises(InputError, match=r"analyze\.window: must be at least 1, got 0"):
        run(tmp_path, params)
    assert not (tmp_path / "reports").exists()


@pytest.mark.pipeline
def test_the_readme_table_is_written_checked_and_found_stale(analyzed: tuple[Path, dict[str, Any]]) -> None:
    root, _ = analyzed
    page = root / "README.md"
    record = root / "reports" / "published" / "tiny" / "claims.json"
    record.parent.mkdir(parents=True)
    shutil.copyfile(root / "reports" / "claims.json", record)
    blocks = [f"{marker(name)}\nold\n<!-- {name.split()[0]}: end -->" for name in ("results of tiny", "figures")]
    page.write_text("\n\n".join(["# Title", *blocks, "rest | of it\n"]))
    with pytest.raises(InputError, match="stale"):
        readme.main(["--root", str(root), "--check"])
    readme.main(["--root", str(root)])
    readme.main(["--root", str(root), "--check"])
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("rest | of it\n")
    rows = [line for line in text.splitlines() if line.startswith("| [C")]
    assert len(rows) == 24
    head = [line for line in text.splitlines() if line.startswith("|  | ")]
    columns = {len(row.replace("\\|", "").split("|")) for row in rows}
    assert columns <= {len(line.split("|")) for line in head}  # no cell breaks its table
    (ninth,) = [row for row in rows if row.startswith("| [C9]")]
    assert "6.2, passes" in ninth
    assert "1. **Does BatchNorm train faster" in text
    page = record.with_name("README.md")
    assert "### C9\n" in page.read_text()
    page.unlink()
    with pytest.raises(InputError, match=r"tiny/README\.md: generated, and stale"):
        readme.main(["--root", str(root), "--check"])


@pytest.mark.pipeline
def test_a_readme_without_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        readme.main(["--root", str(tmp_path)])
    (tmp_path / "README.md").write_text("# Title\n")
    with pytest.raises(InputError, match="expected one line"):
        readme.main(["--root", str(tmp_path)])
