from pathlib import Path

import pytest

from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import InputError, build, load_section

VALID = {
    "studies": ["training", "dln"],
    "network": "vgg11",
    "learning_rate": 0.1,
    "dln_learning_rate": 1e-6,
    "window": 20,
    "confidence": 0.95,
    "resamples": 1000,
    "seed": 0,
}


@pytest.mark.parametrize("preset", ["quick", "cifar-cpu", "paper"])
def test_the_presets_are_valid(repository: Path, preset: str) -> None:
    spec = load_section(repository / "presets" / f"{preset}.yaml", "analyze", AnalyzeSpec)
    assert spec.confidence == 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"studies": ["vgg"]}, "analyze.studies: accepted: training, dln"),
        ({"studies": ["dln", "dln"]}, "every entry may appear once"),
        ({"learning_rate": 0.0}, "analyze.learning_rate: must be a positive number, got 0.0"),
        ({"dln_learning_rate": float("inf")}, "analyze.dln_learning_rate: must be a positive number"),
        ({"window": 0}, "analyze.window: must be at least 1, got 0"),
        ({"confidence": 1.0}, r"analyze.confidence: must be in \[0.5, 1\), got 1.0"),
        ({"resamples": 10}, "analyze.resamples: must be at least 100, got 10"),
        ({"seed": -1}, "analyze.seed: must be at least 0, got -1"),
        ({"threshold": 1.5}, "analyze.threshold: unknown key"),
    ],
)
def test_impossible_values_are_one_clear_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(AnalyzeSpec, VALID | change, "analyze")
