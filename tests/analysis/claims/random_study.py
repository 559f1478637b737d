"""A study of random numbers for all claims about runs, and what several of them have in common, by loops.

Nothing is taken from `normlab.analysis` but the bins in which networks are compared.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from tests.analysis.plain import SEEDS, Run, geometric, in_bins, make_dln, make_vgg
from tests.analysis.synthetic import SPEC, STEPS

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.matching import EDGES
from normlab.analysis.rules import load_claims
from normlab.tables.frames import combine
from normlab.tables.rows import Rows

WINDOW = 3  # records, of the trailing mean
Number = Callable[[int], float]  # by seed
LP = ("l1", "l2", "linf")


@cache
def runs() -> dict[tuple[str, float, int], Run]:
    """At 0.3 the plain network never trains with seed 0; the network with ℓ∞ was trained for fewer steps."""
    found = {}
    for seed in SEEDS:
        for norm_layer in ("none", "batch", "noisy_batch", "noise", *LP):
            found[norm_layer, 0.1, seed] = make_vgg(
                norm_layer, 0.1, seed, steps=9000 if norm_layer == "linf" else STEPS
            )
        for norm_layer in ("none", "batch"):
            found[norm_layer, 0.01, seed] = make_vgg(norm_layer, 0.01, seed)
            dead = norm_layer == "none" and seed == 0
            found[norm_layer, 0.3, seed] = make_vgg(norm_layer, 0.3, seed, final=0.1 if dead else 1.0)
            found[norm_layer, 1e-7, seed] = make_dln(norm_layer, 1e-7, seed)
        for norm_layer in ("none", "batch", *LP):
            found[norm_layer, 1e-6, seed] = make_dln(norm_layer, 1e-6, seed)
    return found


@cache
def inserted() -> dict[tuple[str, int, int], float]:
    """β of the study `reparametrization` by normalizer, step and seed."""
    draws = np.random.default_rng(5)
    return {
        (norm, step, seed): math.exp(draws.normal())
        for norm in ("none", "batch")
        for step in (300, 9000)
        for seed in SEEDS
    }


@cache
def cells() -> Cells:
    frames = []
    for (_, rate, _), run in runs().items():
        frames.append(run.frame(*(("dln", "dln") if rate < 1e-3 else ("vgg", "vgg11"))))
    for (norm_layer, step, seed), value in inserted().items():
        keys = {"study": "reparametrization", "network": "vgg11", "norm_layer": norm_layer, "seed": seed}
        for rate, factor in ((0.1, 1.0), (0.3, 100.0)):  # the second is not asked for
            rows = Rows({**keys, "learning_rate": rate})
            rows.add("landscape", step, {"effective_beta": factor * value})
            frames.append(rows.frame())
    longer = runs()["none", 0.1, 0].frame("vgg", "vgg11").assign(variant="weight_decay=0.1")
    frames.append(longer.assign(value=7.0))
    spec = {**vars(SPEC), "window": WINDOW}
    return Cells(combine(frames), pd.DataFrame(), type(SPEC)(**spec))


def vgg(norm_layer: str, seed: int, rate: float = 0.1) -> Run:
    return runs()[norm_layer, rate, seed]


def dln(norm_layer: str, seed: int, rate: float = 1e-6) -> Run:
    return runs()[norm_layer, rate, seed]


def fold(top: str, bottom: str, measure: Callable[[Run], float], of: Callable[..., Run] = vgg) -> Number:
    return lambda seed: measure(of(top, seed)) / measure(of(bottom, seed))


def walk(
    quantity: str, first: int, last: int, probe: str = "landscape", size: float | None = None
) -> Callable[[Run], float]:
    return lambda run: run.median(probe, quantity, first, last, size=size)


def apart(value: float) -> float:
    return max(value, 1 / value)


def steps_to(level: float) -> Callable[[Run], float]:
    return lambda run: run.reached(level, WINDOW)


def matched(
    quantity: str, axis: str, layer: str = "", probe: str = "landscape", window: tuple[int, int] = (0, STEPS)
) -> Callable[[str, str, int], list[tuple[float, float]]]:
    """The means of two networks' values in the bins that both pass through."""

    def pairs(top: str, bottom: str, seed: int) -> list[tuple[float, float]]:
        sides = []
        for run in (vgg(top, seed), vgg(bottom, seed)):
            source = (
                ("history", "train_accuracy", "", None) if axis == "train_accuracy" else ("landscape", "loss", "", None)
            )
            sides.append(in_bins(run.at(probe, quantity, *window, layer=layer), run.numbers[source], EDGES[axis]))
        return [(sides[0][number], sides[1][number]) for number in sides[0] if number in sides[1]]

    return pairs


def equal(quantity: str, axis: str) -> Number:
    return lambda seed: geometric(a / b for a, b in matched(quantity, axis)("none", "batch", seed))


def check(claim: str, expected: dict[str, Number]) -> None:
    """Every part of a claim is the number that its words say, seed by seed."""
    settings = next(one.settings for one in load_claims() if one.id == claim)
    parts = FUNCTIONS[claim](cells(), **settings)
    assert set(parts) == set(expected)
    for name, number in expected.items():
        found = parts[name]().values
        assert list(found.index) == list(SEEDS), name
        for seed in SEEDS:
            value = number(seed)
            # sums of the same few dozen float64 numbers in another order, and logarithms of them
            near = pytest.approx(value, rel=1e-10, abs=1e-12)
            assert found["value"].loc[seed] == near, (name, seed)
            if math.isfinite(value):
                assert found.loc[seed, ["low", "high"]].tolist() == [near, near], (name, seed)
