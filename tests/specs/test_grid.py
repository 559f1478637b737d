"""The runs of the three grids, and what is refused."""

from typing import Any

import pytest

from normlab.specs.grid import planned_runs
from normlab.specs.strict import InputError

TRAIN = {"width": 1.0, "batch_size": 2, "steps": 1, "test_every": 1, "checkpoint_every": 1}


def _grid(**changes: Any) -> dict[str, Any]:
    return {"network": ["vgg11"], "norm_layer": ["none", "batch"], "learning_rate": [0.1], "seed": [0, 1]} | changes


def _params(**grids: Any) -> dict[str, Any]:
    return {"train": TRAIN, "grid": _grid(), **grids}


def test_runs_of_all_grids_with_their_stages() -> None:
    sweep = _grid(norm_layer=["batch"], learning_rate=[0.5, 1.0], seed=[0])
    other = _grid(network=["resnet20"], norm_layer=["group"], seed=[3])
    stages = [run.stage("train") for run in planned_runs(_params(learning_rate_grid=sweep, network_grid=other))]
    assert stages == [
        "train@vgg11-none-0.1-0",
        "train@vgg11-none-0.1-1",
        "train@vgg11-batch-0.1-0",
        "train@vgg11-batch-0.1-1",
        "train_learning_rate@vgg11-batch-0.5-0",
        "train_learning_rate@vgg11-batch-1.0-0",
        "train_network@resnet20-group-0.1-3",
    ]


def test_the_sparse_grids_may_be_left_out_or_empty() -> None:
    assert [run.suffix for run in planned_runs(_params())] == [""] * 4
    empty = _grid(norm_layer=[])
    assert planned_runs(_params(learning_rate_grid=empty, network_grid=empty)) == planned_runs(_params())


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ({"learning_rate_grid": _grid(norm_layer=["batch"], seed=[1])}, "every run may be named once, got vgg11-batch"),
        ({"learning_rate_grid": _grid(learning_rate=[-1.0])}, "^learning_rate_grid.learning_rate: must be a positive"),
        ({"network_grid": _grid(network=["vgg12"])}, "^network_grid.network: accepted: .*vgg11"),
        ({"network_grid": _grid(seed=[1, 1])}, "^network_grid.seed: every entry may appear once"),
        ({"grid": _grid(seed=[])}, "^grid.seed: expected at least one entry"),
    ],
)
def test_what_is_refused(grids: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned_runs(_params() | grids)
