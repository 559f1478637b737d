"""An MLflow server as the store, which may be shared: real, on loopback."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.small_study import BATCH, PLAIN, RUNS, write_study
from tests.tracking.server import running_server

from normlab.tracking.collected import collect
from normlab.tracking.live import LiveRun
from normlab.tracking.publishing import StoreChanges, prune, publish
from normlab.tracking.tracked import TrackedRun

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running.address


def _draw(run: TrackedRun, folder: Path) -> None:
    if run.study == "vgg":
        (folder / "training.txt").write_text(run.name)


def _current(client: Any) -> dict[str, Any]:
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.current = 'true'")
    return {run.info.run_name: run for run in found}


def test_a_server_holds_runs_files_and_live_metrics_of_several_folders(
    server: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = MlflowClient(tracking_uri=server)
    mine, theirs = (write_study(tmp_path_factory.mktemp(name)) for name in ("mine", "theirs"))
    with LiveRun(tiny.run_spec(seed=0), mine, every=0.0) as live:
        live.log(0, {"loss": 2.0})
        assert _current(client)[BATCH].data.metrics["fit/train_loss"] == 2.0
    assert publish(collect(mine), mine, _draw) == StoreChanges(kept=0, added=len(RUNS), removed=1)
    assert publish(collect(mine), mine, _draw) == StoreChanges(kept=len(RUNS))
    run = _current(client)[BATCH]
    assert run.info.status == "FINISHED"
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")] == ["figures/training.txt"]

    ours_too = [one for one in collect(theirs) if one.name == PLAIN]  # the same bytes, so the same run
    other = [replace(one, name="theirs", params={**one.params, "a": 1}) for one in ours_too]
    assert publish([*ours_too, *other], theirs) == StoreChanges(kept=1, added=1)
    assert publish(ours_too, theirs) == StoreChanges(kept=1, retired=1)
    assert set(_current(client)) == {name for _, name in RUNS}, "one folder makes history of another's runs"
    assert prune(mine) == 0
    assert prune(theirs) == 1
    assert not (mine / "mlflow.db").exists()
