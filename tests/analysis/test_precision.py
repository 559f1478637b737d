"""Runs in reduced precision are compared with the float32 runs of the same seeds, against the spread of these."""

import dataclasses

import pytest
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.catalog import named
from normlab.analysis.cells import Cells
from normlab.analysis.precision import precision_pairs, sameness
from normlab.tables.frames import combine

STEPS, EARLY = named(1)["steps_to_90_percent"], named(1)["early_loss_range"]
FLOAT32 = Kind(reach=[3001, 3101, 3301, 3401, 3601], rough=[1.0, 1.1, 1.2, 1.3, 1.4])


def cells(
    reduced: Kind, variant: str = "precision=bf16", base: str = "", seeds: int = 5, float32: Kind = FLOAT32
) -> Cells:
    """Five seeds in float32 and in another arithmetic; each has the settings that its variant names."""
    frames = []
    for kind, text in ((float32, base), (reduced, variant)):
        of_kind = study({("batch", 0.1): kind}, seeds=seeds)
        frames.append(of_kind.measurements.assign(variant=text))
    return dataclasses.replace(of_kind, measurements=combine(frames))


def answer(reduced: Kind, **settings: object) -> str:
    (pair,) = precision_pairs(cells(reduced, **settings), "float32")
    found = sameness(STEPS, pair, SPEC)
    assert found is not None
    return found.answer


def test_the_ratio_is_judged_against_the_spread_of_the_seeds() -> None:
    near = dataclasses.replace(FLOAT32, reach=[3001, 3201, 3301, 3401, 3501])
    assert answer(near) == "yes"
    assert answer(dataclasses.replace(FLOAT32, reach=[4501, 4601, 4801, 4901, 5101])) == "no"  # half as many again
    scattered = dataclasses.replace(FLOAT32, reach=[3001, 3901, 2501, 3401, 4601])
    assert answer(scattered) == "undecided"
    (pair,) = precision_pairs(cells(near), "float32")
    found = sameness(STEPS, pair, SPEC)
    assert found is not None
    assert found.band == pytest.approx((3001 / 3601, 3601 / 3001))
    assert found.found.values["value"].tolist() == pytest.approx([1, 3201 / 3101, 1, 1, 3501 / 3601])


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    assert answer(FLOAT32, seeds=seeds) == "undecided"


def test_what_was_never_reached_decides_nothing() -> None:
    assert (
        answer(dataclasses.replace(FLOAT32, final=0.8), float32=dataclasses.replace(FLOAT32, final=0.8)) == "undecided"
    )


def test_a_quantity_that_was_not_measured_is_none() -> None:
    (pair,) = precision_pairs(cells(FLOAT32), "float32")
    assert sameness(EARLY, pair, SPEC) is not None
    measured = cells(FLOAT32)
    without = measured.measurements[measured.measurements["probe"] != "landscape"]
    (pair,) = precision_pairs(dataclasses.replace(measured, measurements=without), "float32")
    assert sameness(EARLY, pair, SPEC) is None


def test_pairs_differ_in_precision_alone() -> None:
    found = list(
        precision_pairs(cells(FLOAT32, "precision=bf16,weight_decay=0.0004", "weight_decay=0.0004"), "float32")
    )
    assert [(pair.precision, pair.reference.variant) for pair in found] == [("bf16", "weight_decay=0.0004")]
    assert list(precision_pairs(cells(FLOAT32, "precision=bf16,weight_decay=0.0004"), "float32")) == []
    assert list(precision_pairs(cells(FLOAT32, "weight_decay=0.0004"), "float32")) == []
    # where the shared settings are reduced, it is float32 that the variant names
    (pair,) = precision_pairs(cells(FLOAT32, "precision=float32"), "tf32")
    assert (pair.precision, pair.reference.variant, pair.reduced.variant) == ("tf32", "precision=float32", "")
