"""The page of the benchmarks is what their JSON files say."""

import importlib.util
import json

from tests.architecture.imports import SOURCE

FOLDER = SOURCE.parent / "benchmarks"


def test_the_page_is_generated_from_the_results() -> None:
    spec = importlib.util.spec_from_file_location("report", FOLDER / "report.py")
    assert spec is not None
    assert spec.loader is not None
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == report.render()


def test_every_result_is_of_a_benchmark_that_is_here() -> None:
    results = sorted((FOLDER / "results").glob("*.json"))
    assert results
    for path in results:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert (FOLDER / f"{path.stem}.py").is_file()
        assert found["command"].startswith(f"python benchmarks/{path.stem}.py")
        assert all(len(row) == len(found["columns"]) for row in found["rows"])
