"""The runs of the blocks, and what is refused."""

import dataclasses
from typing import Any

import pytest

from normlab.specs.grid import compared, of_other_length, planned_runs
from normlab.specs.strict import InputError

TRAIN = {"width": 1.0, "batch_size": 2, "steps": 4, "test_every": 1, "checkpoint_every": 1}


def _block(**changes: Any) -> dict[str, Any]:
    return {"network": ["vgg11"], "norm_layer": ["none", "batch"], "learning_rate": [0.1], "seed": [0, 1]} | changes


def _params(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"train": TRAIN, "grid": list(blocks)}


def test_runs_of_all_blocks_with_their_stages_the_seed_fastest() -> None:
    sweep = _block(norm_layer=["batch"], learning_rate=[0.5, 1], seed=[0])
    other = _block(network=["resnet20"], norm_layer=["group"], seed=[3])
    assert [run.stage("train") for run in planned_runs(_params(_block(), sweep, other))] == [
        "train@vgg11-none-0.1-0",
        "train@vgg11-none-0.1-1",
        "train@vgg11-batch-0.1-0",
        "train@vgg11-batch-0.1-1",
        "train@vgg11-batch-0.5-0",
        "train@vgg11-batch-1.0-0",
        "train@resnet20-group-0.1-3",
    ]
    assert planned_runs(_params()) == []
    few = {**_params(other), "train": {**TRAIN, "checkpoints": "few"}}
    assert [planned_runs(few)[0].stage(program) for program in ("train", "probe")] == [
        "measure@resnet20-group-0.1-3"
    ] * 2


def test_overrides_make_variants_and_the_shared_value_makes_none() -> None:
    block = _block(norm_layer=["batch"], seed=[0], weight_decay=[0, 4e-4], augment=True, batch_size=[2, 3])
    runs = [planned.spec for planned in planned_runs(_params(block))]
    assert [run.variant for run in runs] == [
        "augment=true",
        "augment=true,batch_size=3",
        "augment=true,weight_decay=0.0004",
        "augment=true,batch_size=3,weight_decay=0.0004",
    ]
    assert runs[3].name == "vgg11-batch-0.1-0-augment=true-batch_size=3-weight_decay=0.0004"
    train = runs[3].train
    assert (train.augment, train.batch_size, train.weight_decay, train.steps) == (True, 3, 4e-4, 4)
    plain = planned_runs(_params(_block()))[2].spec
    assert plain.train.varied(runs[3].variant) == train  # what a stage is told on its command line
    assert len({run.digest for run in runs} | {plain.digest}) == 5


def test_a_variant_has_another_schedule_than_the_shared_one() -> None:
    (run,) = planned_runs(_params(_block(norm_layer=["batch"], seed=[0], steps=2)))
    assert run.spec.train.checkpoint_steps == (0, 1, 2)


def test_a_dotted_path_names_the_run_without_a_colon() -> None:
    (run,) = planned_runs(_params(_block(norm_layer=["my_layers:RMSNorm2d"], seed=[0])))
    assert run.spec.name == "vgg11-my_layers.RMSNorm2d-0.1-0"


def test_claims_compare_runs_with_the_shared_settings_at_one_rate() -> None:
    blocks = (_block(), _block(learning_rate=[0.5]), _block(network=["vgg13"]), _block(momentum=0.9))
    runs = [planned.spec for planned in planned_runs(_params(*blocks))]
    assert [run.name for run in compared(runs, ["batch"], "vgg11", 0.1)] == ["vgg11-batch-0.1-0", "vgg11-batch-0.1-1"]
    assert compared(runs, [], "vgg11", 0.1) == []


def test_a_normalizer_without_a_run_of_the_shared_length_is_compared_by_its_longest() -> None:
    shared, shorter = _block(norm_layer=["none"]), _block(steps=[2, 3], seed=[0])
    others = (_block(norm_layer=["l1"], steps=3, momentum=0.9), _block(norm_layer=["l2"], steps=3, learning_rate=[0.5]))
    runs = [planned.spec for planned in planned_runs(_params(shared, shorter, *others))]
    assert [run.name for run in of_other_length(runs, "vgg11", 0.1)] == ["vgg11-batch-0.1-0-steps=3"]
    assert of_other_length(runs, "vgg13", 0.1) == []


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([_block(), _block(norm_layer=["batch"], seed=[1])], r"grid\[1\]: vgg11-batch-0.1-1 is a run of grid\[0\] too"),
        ([_block(weight_decay=0.0), _block()], r"grid\[1\]: vgg11-none-0.1-0 is a run of grid\[0\] too"),
        ([_block(), _block(learning_rate=[-1.0])], r"^grid\[1\]\.learning_rate: must be a positive"),
        ([_block(network=["vgg12"])], r"^grid\[0\]\.network: accepted: .*vgg11"),
        ([_block(seed=[1, 1])], r"^grid\[0\]\.seed: every entry may appear once"),
        ([_block(seed=[])], r"^grid\[0\]\.seed: expected at least one entry"),
        ([_block(seed=3)], r"^grid\[0\]\.seed: expected a list, each entry a whole number, got 3"),
        ([_block(weight_decay=[])], r"^grid\[0\]\.weight_decay: expected at least one entry"),
        ([_block(weight_decay=[2.0])], r"^grid\[0\]\.weight_decay: must be in \[0, 1\), got 2.0"),
        ([_block(steps="many")], r"^grid\[0\]\.steps\[0\]: expected a whole number, got 'many'"),
        ([_block(steps=0)], r"^grid\[0\]\.steps: must be at least 1, got 0"),
        ([_block(device="cpu")], r"^grid\[0\]\.device: unknown key; accepted: network, .*weight_decay"),
        ([_block(checkpoint_at=[1])], r"^grid\[0\]\.checkpoint_at: unknown key"),
        ([{"network": ["vgg11"]}], r"^grid\[0\]\.norm_layer: missing; expected a list"),
        (["vgg11"], r"^grid\[0\]: expected a mapping, got 'vgg11'"),
    ],
)
def test_what_is_refused(blocks: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned_runs(_params(*blocks))


def test_a_grid_that_is_no_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"^grid: expected a list, each entry a mapping, got {'network'"):
        planned_runs({"train": TRAIN, "grid": _block()})


def test_every_setting_of_a_run_may_differ_but_lists_and_the_device() -> None:
    from normlab.specs.training import MACHINE, OVERRIDES, TrainSpec

    lists = {"checkpoint_at"}
    assert set(OVERRIDES) == {field.name for field in dataclasses.fields(TrainSpec)} - lists - set(MACHINE)
