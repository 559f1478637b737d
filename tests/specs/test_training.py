"""The specs of runs: names, digests, schedules, refusals."""

import dataclasses

import pytest

from normlab.specs.probe import ProbeSpec
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec, check_steps

TRAIN = TrainSpec(width=0.25, batch_size=8, steps=10, test_every=5, checkpoint_every=4, checkpoint_at=(1, 4))


def test_the_schedule_joins_regular_listed_and_final_steps() -> None:
    assert TRAIN.checkpoint_steps == (0, 1, 4, 8, 10)
    assert [TRAIN.is_regular(step) for step in TRAIN.checkpoint_steps] == [True, False, True, True, False]


def test_the_schedule_is_log_spaced_up_to_a_step_and_even_throughout() -> None:
    def schedule(until: int) -> tuple[int, ...]:
        return dataclasses.replace(TRAIN, steps=1000, checkpoint_every=200, checkpoint_log_until=until).checkpoint_steps

    even = (0, 200, 400, 600, 800, 1000)
    assert schedule(0) == tuple(sorted({*even, 1, 4}))  # 1 and 4 are listed
    assert schedule(1) == schedule(0)
    first = (0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 200, 256, 300)
    assert schedule(300) == (*first, 400, 600, 800, 1000)
    assert schedule(1000)[-4:] == (600, 724, 800, 1000)


def test_a_run_has_dvcs_name_and_its_study() -> None:
    run = RunSpec("vgg11", "batch", 1e-3, 2, TRAIN)
    assert (run.name, run.study) == ("vgg11-batch-0.001-2", "vgg")
    assert RunSpec("resnet20", "none", 0.1, 0, TRAIN).study == "resnet"


def test_the_digest_follows_every_setting_but_the_device() -> None:
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    moved = RunSpec("vgg11", "batch", 0.1, 0, dataclasses.replace(TRAIN, device="cuda"))
    longer = RunSpec("vgg11", "batch", 0.1, 0, dataclasses.replace(TRAIN, steps=12))
    assert run.digest == moved.digest
    assert len({run.digest, longer.digest, dataclasses.replace(run, seed=1).digest}) == 3


def test_a_setting_at_its_default_leaves_no_trace() -> None:
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    assert run.as_dict() == {
        "network": "vgg11",
        "norm_layer": "batch",
        "learning_rate": 0.1,
        "seed": 0,
        "train": {
            "width": 0.25,
            "batch_size": 8,
            "steps": 10,
            "test_every": 5,
            "checkpoint_every": 4,
            "checkpoint_at": [1, 4],
        },
    }
    assert run.settings["train"]["momentum"] == 0.0
    heavy = dataclasses.replace(run, train=TRAIN.varied("momentum=0.9"), variant="momentum=0.9")
    assert heavy.as_dict()["train"]["momentum"] == 0.9
    assert heavy.as_dict()["variant"] == "momentum=0.9"
    assert dataclasses.replace(run, train=TRAIN.varied("precision=bf16")).digest != run.digest
    forced = dataclasses.replace(run, train=dataclasses.replace(TRAIN, precision_forced=True))
    assert forced.digest == run.digest


def test_the_schedule_keeps_what_it_lists() -> None:
    for train in (TRAIN, dataclasses.replace(TRAIN, checkpoint_log_until=9)):
        assert [step for step in range(-1, 14) if train.keeps(step)] == list(train.checkpoint_steps)
    assert dataclasses.replace(TRAIN, steps=10**15).keeps(4 * 10**14)  # without listing them all


def test_a_step_off_the_schedule_is_refused() -> None:
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    check_steps((0, 1, 8, 10), run, "probe.eigenvalue_at")
    with pytest.raises(InputError, match=r"^probe.eigenvalue_at: vgg11-batch-0.1-0 keeps no checkpoint of step 5; "):
        check_steps((0, 5), run, "probe.eigenvalue_at")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device=cpu", "^variant: accepted settings: width"),
        ("steps=x", "^variant: steps: expected a whole number, got 'x'"),
        ("width=9", r"^train\.width: must be above 0"),
    ],
)
def test_variants_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TRAIN.varied(text)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, r"train\.steps: must be at least 1, got 0"),
        ("batch_size", -1, r"train\.batch_size"),
        ("width", 0.0, r"train\.width"),
        ("momentum", 1.0, r"train\.momentum"),
        ("weight_decay", -0.1, r"train\.weight_decay"),
        ("checkpoint_at", (11,), r"train\.checkpoint_at: each must be in 0 … 10, got 11"),
        ("checkpoint_log_until", 11, r"train\.checkpoint_log_until: must be in 0 … 10, got 11"),
        ("device", "tpu", r"train\.device: expected auto, cpu, cuda or cuda:N, got 'tpu'"),
    ],
)
def test_impossible_training_settings_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(TRAIN, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("network", "vgg12"), ("norm_layer", "bn"), ("learning_rate", 0.0), ("learning_rate", float("nan")), ("seed", -1)],
)
def test_impossible_grid_points_are_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"grid\.{field}"):
        dataclasses.replace(RunSpec("vgg11", "batch", 0.1, 0, TRAIN), **{field: value})


@pytest.mark.parametrize(
    "change",
    [{"step_sizes": ()}, {"step_sizes": (0.0,)}, {"extra_step_sizes": (1.0,)}, {"units": 0}, {"distances": (-1.0,)}],
)
def test_impossible_probe_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"probe\."):
        dataclasses.replace(ProbeSpec((0.5, 1.0)), **change)
