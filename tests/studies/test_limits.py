"""What a study needs at least, counted by hand: at that much memory it is accepted, at one byte less refused."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from normlab.runs.networks import build_network
from normlab.specs.strict import InputError, build, load_params
from normlab.specs.study import StudySpec
from normlab.studies.limits import check_limits, checkpoints_bytes

QUICK = Path(__file__).parents[2] / "presets" / "quick.yaml"
MILLION = 10**6
# of what each setting asks for: numbers of 8 bytes, but for images (a byte a value) and the four float32 of an update
NEEDS: list[tuple[Callable[[dict[str, Any]], object], str, int]] = [
    # ten classes of textures, 32 x 32 x 3
    (lambda p: p["data"].update(train_per_class=MILLION), r"data\.train_per_class", 10 * MILLION * 3072),
    (lambda p: p["data"].update(test_per_class=MILLION), r"data\.test_per_class", 10 * MILLION * 3072),
    (lambda p: p["train"].update(steps=90 * MILLION), r"train\.steps \(vgg11-", 90 * MILLION * (16 + 40 + 32)),
    # loss and size of the gradient, a seed each
    (lambda p: p["dln"].update(steps=90 * MILLION, seeds=[0, 1, 2]), r"dln\.steps", 90 * MILLION * 3 * 2 * 8),
    (
        lambda p: p["dln"].update(samples=MILLION, features=200, seeds=[0, 1, 2]),
        r"dln\.samples",
        MILLION * 200 * 3 * 8,
    ),
    (
        lambda p: p["dln"].update(features=10_000, samples=10_001, depth=30, seeds=[0, 1, 2]),
        r"dln\.features",
        10_000 * 10_000 * 30 * 3 * 8,
    ),
    (
        lambda p: (
            p["dln"].update(seeds=[0, 1, 2]),
            p["dln_scan"].update(steps=90 * MILLION, learning_rate=[1e-6, 1e-7, 1e-8, 1e-9]),
        ),
        r"dln_scan\.steps",
        90 * MILLION * 3 * 4 * 8,
    ),
    (lambda p: p["theory"].update(cases=900 * MILLION), r"theory\.cases", 900 * MILLION * 8),
    (lambda p: p["theory"].update(samples=[4, 50_000]), r"theory\.samples", 50_000 * 50_000 * 8),
]


@pytest.mark.parametrize(("change", "key", "needed"), NEEDS, ids=[key for _, key, _ in NEEDS])
def test_a_study_is_refused_from_the_byte_on_that_it_lacks(
    change: Callable[[dict[str, Any]], object], key: str, needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load_params(QUICK)
    change(params)
    study = build(StudySpec, params, "")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**18))
    memory = needed
    monkeypatch.setattr(os, "sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else memory)
    check_limits(study, Path())
    memory = needed - 1
    with pytest.raises(InputError, match=rf"^{key}.*: \d+ needs at least {needed / 1e9:,.1f} GB of memory"):
        check_limits(study, Path())


def test_checkpoints_are_refused_from_the_byte_on_that_the_disk_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    study = build(StudySpec, load_params(QUICK), "")
    total = checkpoints_bytes(study)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=total))
    check_limits(study, Path())
    total -= 1
    with pytest.raises(InputError, match=r"^train\.checkpoint_every: the checkpoints of \d+ runs need [\d.]+ GB"):
        check_limits(study, Path())


def test_what_is_lacking_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several settings the first one, in the order of the file."""
    params = load_params(QUICK)
    params["data"].update(train_per_class=MILLION, test_per_class=MILLION)
    study = build(StudySpec, params, "")
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 500_000}[name])
    with pytest.raises(InputError) as refused:
        check_limits(study, Path())
    assert str(refused.value) == "data.train_per_class: 1000000 needs at least 30.7 GB of memory of 2.0 GB"
    monkeypatch.setattr(os, "sysconf", lambda name: 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: {Path("here"): SimpleNamespace(total=10**7)}[path])
    with pytest.raises(InputError) as refused:
        check_limits(study, Path("here"))
    gigabytes = checkpoints_bytes(study) / 1e9
    assert str(refused.value) == (
        f"train.checkpoint_every: the checkpoints of {len(study.runs)} runs need {gigabytes:.1f} GB of disk of 0.0 GB"
    )


def test_of_other_images_than_generated_ones_a_number_a_class_is_a_cap_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(QUICK)
    params["data"].update(source="cifar10", train_per_class=2 * 10**9, test_per_class=2 * 10**9)
    monkeypatch.setattr(os, "sysconf", lambda name: 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**18))
    check_limits(build(StudySpec, params, ""), Path())


@pytest.mark.parametrize(("source", "classes"), [("textures", 10), ("folder", 2)])
def test_checkpoints_are_counted_run_by_run(source: str, classes: int) -> None:
    """Parameters, buffers and momentum of the networks themselves; of a folder at least two classes are known."""
    params = load_params(QUICK)
    if source == "folder":
        params["data"] = {"source": "folder", "path": "images"}
    blocks = [
        {"network": ["vgg11"], "norm_layer": ["none", "batch"], "learning_rate": [0.1, 0.5], "seed": [0, 1]},
        {"network": ["resnet20"], "norm_layer": ["batch", "own.part:normalizer"], "learning_rate": [0.1], "seed": [0]},
        {"network": ["own.part:network"], "norm_layer": ["batch"], "learning_rate": [0.1], "seed": [3]},
    ]
    study = build(StudySpec, {**params, "grid": blocks}, "")
    expected, own = 0, 0
    for run in study.runs:
        if ":" in run.network or ":" in run.norm_layer:
            own += 1
            continue  # is not built for this
        model = build_network(run, classes)
        tensors = [*model.parameters(), *model.buffers()] + [*model.parameters()] * bool(run.train.momentum)
        expected += len(study.kept(run)) * sum(t.numel() * t.element_size() for t in tensors)
    assert (own, len(study.runs)) == (2, 11)
    assert checkpoints_bytes(study) == expected
