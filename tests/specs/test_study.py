"""Rules between the sections of a parameter file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from normlab.specs.strict import InputError, build, load_params
from normlab.specs.study import StudySpec

QUICK = Path(__file__).parents[2] / "presets" / "quick.yaml"


def _study(change: Callable[[dict[str, Any]], object] = lambda params: None) -> StudySpec:
    params = load_params(QUICK)
    change(params)
    return build(StudySpec, params, "")


def test_the_runs_that_other_studies_look_at_are_those_that_claims_compare() -> None:
    study = _study()
    assert [run.name for run in study.compared(study.assumptions.norm_layer)] == [
        "vgg11-batch-0.1-0",
        "vgg11-batch-0.1-1",
    ]
    assert [run.name for run in study.compared(study.reparametrization.norm_layer)] == [
        "vgg11-none-0.1-0",
        "vgg11-none-0.1-1",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["analyze"].update(network="vgg16"), r"analyze\.network: accepted \(grid\): vgg11, resnet20, got"),
        (
            lambda p: p["analyze"].update(learning_rate=0.3),
            r"analyze\.learning_rate: accepted \(grid, vgg11\): 0\.1, 0\.5, got 0\.3",
        ),
        (
            lambda p: p["grid"][0].update(weight_decay=4e-4),
            r"analyze\.learning_rate: accepted \(grid, vgg11\): 0\.5, got 0\.1",
        ),
        (  # the sweep has the old rate, for two normalizers
            lambda p: (p["grid"][0].update(learning_rate=[0.05]), p["grid"][1].update(learning_rate=[0.1])),
            r"analyze\.learning_rate: at 0\.1 the grid has no l1, noise, noisy_batch, which it has at 0\.05: compare",
        ),
        (
            lambda p: p["analyze"].update(dln_learning_rate=1e-3),
            r"analyze\.dln_learning_rate: accepted \(dln_grid\): 1e-06, got 0\.001",
        ),
        (
            lambda p: p["probe"].update(eigenvalue_at=[7]),
            r"probe\.eigenvalue_at: vgg11-none-0\.1-0 keeps no checkpoint",
        ),
        (
            lambda p: p["assumptions"].update(steps=[3]),
            r"assumptions\.steps: vgg11-batch-0\.1-0 keeps no checkpoint of",
        ),
        (lambda p: p["reparametrization"].update(steps=[3]), r"reparametrization\.steps: vgg11-none-0\.1-0 keeps no"),
        (lambda p: p["train"].update(batch_size=5001), r"train\.batch_size: must be at most the 5000 training images"),
        (lambda p: p["data"].update(held_out=4900), r"train\.batch_size: must be at most the 100 training images"),
        (
            lambda p: p["grid"][1].update(batch_size=[6000]),
            r"train\.batch_size: .* got 6000 \(vgg11-none-0\.5-0-batch_",
        ),
        (lambda p: p["grid"].append(p["grid"][0]), r"grid\[3\]: vgg11-none-0\.1-0 is a run of grid\[0\] too"),
        (lambda p: p["analyze"].update(confidance=0.9), r"analyze\.confidance: unknown key; accepted: studies"),
        (
            lambda p: p["report"].update(notebooks=["01; touch X"]),
            r"report\.notebooks\[0\]: expected a name in",
        ),
    ],
)
def test_sections_that_contradict_each_other(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        _study(change)
    assert "\n" not in str(caught.value)


def test_what_is_not_analyzed_may_be_missing() -> None:
    def without_trainings(params: dict[str, Any]) -> None:
        params["grid"] = []
        params["analyze"]["studies"] = ["dln", "theory"]

    study = _study(without_trainings)
    assert study.runs == []
    assert study.compared(["batch"]) == []


def test_the_size_of_a_folder_of_images_is_known_only_when_it_is_read() -> None:
    def folder(params: dict[str, Any]) -> None:
        params["data"] = {"source": "folder", "path": "images"}
        params["train"]["batch_size"] = 10**6

    assert _study(folder).train.batch_size == 10**6


WRONG = (None, True, -1, 0, 10**12, 10**400, 1.5, float("nan"), float("inf"), "", "x; touch y", [], [None], [[]],
         {}, {"a": 1}, [1, 1], ["vgg11", "vgg11"], [-1.0])  # fmt: skip


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index in nested mappings and lists."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in pairs for found in ((*place, key), *_places(inner, (*place, key)))]


def test_whatever_stands_in_the_file_is_read_or_refused_in_one_line() -> None:
    params = load_params(QUICK)
    refused = []
    for *above, last in _places(params):
        inner = params
        for key in above:
            inner = inner[key]
        kept = inner[last]
        for value in WRONG:
            inner[last] = value
            try:
                build(StudySpec, params, "")
            except InputError as error:
                refused.append(str(error))
        inner[last] = kept
    assert len(refused) > 2500
    assert not [message for message in refused if "\n" in message]
