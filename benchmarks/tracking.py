"""How long it takes to publish a run with ten thousand points to the local MLflow store; at most 5 s are meant."""

import tempfile
import time
from pathlib import Path

import report

from normlab.tracking.publishing import publish
from normlab.tracking.tracked import TrackedRun

METRICS, POINTS = 20, 500


def run(name: str, metrics: int, file: Path) -> TrackedRun:
    """A run of so many metrics with `POINTS` points each."""
    series = {f"fit/metric_{k}": [(step, float(step)) for step in range(POINTS)] for k in range(metrics)}
    tags = {"dvc_stage": "train", "spec_digest": name}
    return TrackedRun("vgg", name, {"learning_rate": 0.1}, tags, (file,), lambda: series)


with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    file = root / "summary.json"
    file.write_text("{}")
    publish([run("first", 1, file)], root)  # MLflow is imported, and makes its store
    rows = []
    for name in ("second", "third"):
        wall, cpu = time.perf_counter(), time.process_time()
        publish([run(name, METRICS, file)], root)
        seconds, computed = time.perf_counter() - wall, time.process_time() - cpu
        rows.append([f"{METRICS * POINTS:,} points", seconds, computed])
    report.publish(["one run", "seconds", "of the CPU"], rows)
