"""What a study needs at least, counted by hand: at that much memory it is accepted, at one byte less refused."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

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
