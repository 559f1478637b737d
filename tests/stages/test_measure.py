"""Train and probe in one process: the bits of the two stages, and few checkpoints."""

import json
from pathlib import Path

import pytest
from tests import tiny
from tests.stages.test_resume import folder_bytes

from normlab.specs.strict import InputError
from normlab.stages import measure, probe, train

pytestmark = pytest.mark.pipeline
FEW = tiny.PARAMS.replace("checkpoint_at: [1]", "checkpoint_at: [1], checkpoints: few")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tiny.write_data(tmp_path / "prepared")


def write_params(text: str) -> None:
    Path("params.yaml").write_text(text)


def arguments(norm_layer: str, learning_rate: str = "0.1") -> list[str]:
    point = ["--network", "vgg11", "--norm-layer", norm_layer, "--learning-rate", learning_rate, "--seed", "0"]
    return ["--data", "prepared", *point]


@pytest.mark.parametrize(
    ("norm_layer", "rate", "settings"),
    [
        ("noisy_batch", "0.1", "momentum: 0.9"),
        ("none", "1e12", "weight_decay: 0.0"),
        ("batch", "0.1", "precision: bf16"),
    ],
)
def test_the_bits_are_those_of_train_and_probe(data: Path, norm_layer: str, rate: str, settings: str) -> None:
    forced = f"checkpoint_at: [1], precision_forced: true, {settings}"
    write_params(tiny.PARAMS.replace("checkpoint_at: [1]", forced))
    train.main([*arguments(norm_layer, rate), "--out", "two/run"])
    probe.main(["--data", "prepared", "--run", "two/run", "--out", "two/probes"])
    write_params(FEW.replace("checkpoint_at: [1]", forced))
    measure.main([*arguments(norm_layer, rate), "--keep", "1", "--out", "one/run", "--probes", "one/probes"])
    assert folder_bytes(Path("one/probes")) == folder_bytes(Path("two/probes"))
    two, one = folder_bytes(Path("two/run")), folder_bytes(Path("one/run"))
    assert {name: one[name] for name in one if name != "summary.json"}.items() <= two.items()
    assert json.loads(two["summary.json"]) == {**json.loads(one["summary.json"]), "checkpoints": _reached(rate)}
    kept = [step for step in (1, 6) if step in _reached(rate)]
    assert [name for name in one if name.startswith("checkpoints")] == [f"checkpoints/step-{s:06d}.pt" for s in kept]
    assert json.loads(one["summary.json"])["checkpoints"] == kept


def _reached(rate: str) -> list[int]:
    diverged_at = json.loads(Path("two/run/summary.json").read_text())["diverged_at"]
    assert (diverged_at is None) == (rate == "0.1")
    return [step for step in (0, 1, 2, 4, 6) if diverged_at is None or step <= diverged_at]


def test_a_run_is_made_in_one_of_the_two_ways(data: Path) -> None:
    write_params(FEW)
    with pytest.raises(InputError, match=r"train\.checkpoints: all; runs that keep few are made by the stage measure"):
        train.main([*arguments("batch"), "--out", "run"])
    measure.main([*arguments("batch"), "--out", "run", "--probes", "probes"])
    with pytest.raises(InputError, match=r"train\.checkpoints: all; runs that keep few are probed while they train"):
        probe.main(["--data", "prepared", "--run", "run", "--out", "other"])
    with pytest.raises(InputError, match=r"--keep: vgg11-batch-0.1-0 keeps no checkpoint of step 3"):
        measure.main([*arguments("batch"), "--keep", "3", "--out", "other", "--probes", "other-probes"])
    assert not Path("other").exists()
    write_params(tiny.PARAMS)
    measure.main([*arguments("batch"), "--out", "all", "--probes", "all-probes"])
    assert len(list(Path("all/checkpoints").iterdir())) == 5
