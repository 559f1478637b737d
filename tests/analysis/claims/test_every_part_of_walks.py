"""Every part of the claims about walks and curvature, by the words of `claims.yaml`."""

import itertools
import math
from collections.abc import Callable

import pytest
from tests.analysis.claims.random_study import (
    LP,
    WINDOW,
    Number,
    apart,
    cells,
    check,
    dln,
    equal,
    fold,
    inserted,
    runs,
    vgg,
    walk,
)
from tests.analysis.plain import SEEDS, Run, weighted_median
from tests.analysis.synthetic import LAYERS, STEPS

from normlab.analysis.claims.registry import FUNCTIONS


def band(run: Run, sizes: tuple[float, ...], first: int, last: int) -> float:
    return weighted_median(run.over_sizes("loss", sizes, first, last, lambda v: max(v) - min(v)))


def c9() -> dict[str, Number]:
    width = "loss_range_steps"
    phases = ((100, 1500), (1501, 3000), (3001, 6000), (6001, 10_500), (10_501, 15_000))
    return {
        "gradient": fold("none", "batch", walk(width, 100, 6000)),
        "equal_distance": fold("none", "batch", walk(width, 100, 6000, "landscape_equal_distance")),
        "up_to_rate": fold("none", "batch", lambda run: band(run, (0.5, 1.0), 100, 6000)),
        "equal_accuracy": equal(width, "train_accuracy"),
        "with_base_point": fold("none", "batch", walk("loss_range", 100, 6000)),
        "penalized": fold("none", "batch", walk(width, 100, 6000, "landscape_penalized")),
        **{f"phase_{n}": fold("none", "batch", walk(width, *phase)) for n, phase in enumerate(phases, start=1)},
    }


def c10() -> dict[str, Number]:
    high, cosine = "gradient_distance_high", walk("gradient_cosine", 100, 6000, size=1.0)
    sizes = {"at_0.25": 0.25, "at_0.5": 0.5, "at_1": 1.0, "at_2": 2.0, "at_4": 4.0}
    return {
        "gradient": fold("none", "batch", walk(high, 100, 6000)),
        "cosine": lambda seed: cosine(vgg("batch", seed)) - cosine(vgg("none", seed)),
        "equal_distance": fold("none", "batch", walk(high, 100, 6000, "landscape_equal_distance")),
        "equal_accuracy": equal(high, "train_accuracy"),
        "peak": fold("none", "batch", lambda run: max(run.at("landscape", high, 100, 6000).values())),
        **{name: fold("none", "batch", walk("gradient_distance", 100, 6000, size=s)) for name, s in sizes.items()},
    }


def c11() -> dict[str, Number]:
    beta, late, sizes = "effective_beta", (10_500, 15_000), (0.5, 1.0, 2.0, 4.0)
    found = {
        "beta": fold("batch", "none", walk(beta, 100, 6000)),
        "limit": fold("batch", "none", walk("stretch", 100, 6000, "curvature")),
        "equal_distance": fold("batch", "none", walk(beta, 100, 6000, "landscape_equal_distance")),
        "equal_accuracy": lambda seed: 1 / equal(beta, "train_accuracy")(seed),
        "early": fold("batch", "none", walk(beta, 100, 1500)),
        "early_limit": fold("batch", "none", walk("stretch", 100, 1500, "curvature")),
        "same_function": lambda seed: inserted()["batch", 9000, seed] / inserted()["none", 9000, seed],
    }
    for name, size in {"at_0.25": 0.25, "at_0.5": 0.5, "at_1": 1.0, "at_2": 2.0, "at_4": 4.0}.items():
        found[name] = fold("batch", "none", walk("beta", 100, 6000, size=size))

    def of(norm_layer: str) -> dict[str, Number]:
        def end(quantity: str, probe: str, factor: float) -> Number:
            return lambda seed: factor * walk(quantity, *late, probe)(vgg(norm_layer, seed))

        def halved(seed: int) -> float:
            run = vgg(norm_layer, seed)
            return run.plateau((0.25, *sizes), *late) / run.plateau(sizes, *late)

        def moved_rate(seed: int) -> float:  # of 0.01, 0.1 and 0.3 the last two are neighbors
            here, there = (walk(beta, 10_501, 15_000)(vgg(norm_layer, seed, rate)) for rate in (0.1, 0.3))
            return 0.3 * there / (0.1 * here)

        return {
            "halved": halved,
            "plateau": end(beta, "landscape", 0.5 * 0.1),
            "stretch": end("stretch", "curvature", 0.1),
            "sharpness": end("top_eigenvalue", "curvature", 0.1),
            "rate_moved": moved_rate,
        }

    return found | {f"{name}_{norm}": number for norm in ("none", "batch") for name, number in of(norm).items()}


def c12() -> dict[str, Number]:
    near = (0.01, 0.1, 1.0)
    return {
        "near": fold("none", "batch", lambda run: run.plateau(near, 50, 4000), dln),
        "far": fold("none", "batch", walk("effective_beta", 50, 4000), dln),
        "limit": fold("none", "batch", walk("stretch", 50, 4000, "curvature"), dln),
        "edge_none": lambda seed: 1e-6 * dln("none", seed).plateau(near, 7000, 10_000),
        "edge_batch": lambda seed: 1e-6 * dln("batch", seed).plateau(near, 7000, 10_000),
    }


def c13() -> dict[str, Number]:
    found: dict[str, Number] = {}
    names = {"loss_range": "loss_range_steps", "distance": "gradient_distance_high", "beta": "effective_beta"}
    for name, quantity in names.items():
        one = {
            probe: fold("none", "batch", walk(quantity, 100, 6000, probe))
            for probe in ("landscape", "landscape_random", "landscape_relative", "landscape_random_relative")
        }
        found[name] = one["landscape_random_relative"]
        found[f"{name}_unscaled"] = one["landscape_random"]
        found[f"{name}_ratio"] = lambda s, o=one: o["landscape_random_relative"](s) / o["landscape_relative"](s)  # type: ignore[misc]
        found[f"{name}_ratio_unscaled"] = lambda s, o=one: o["landscape_random"](s) / o["landscape"](s)  # type: ignore[misc]
    return found


def c16() -> dict[str, Number]:
    trained = {
        "loss_range": walk("loss_range_steps", 100, 6000),
        "distance": walk("gradient_distance_high", 100, 6000),
        "beta": walk("effective_beta", 100, 6000),
        "limit": walk("stretch", 100, 6000, "curvature"),
    }
    deep = {
        "beta": lambda run: run.plateau((0.01, 0.1, 1.0), 50, 4000),
        "far": walk("effective_beta", 50, 4000),
        "limit": walk("stretch", 50, 4000, "curvature"),
    }
    found = {f"{p}_{name}": fold(p, "batch", measure) for p in LP for name, measure in trained.items()}
    found |= {f"{p}_deep_linear_{name}": fold(p, "batch", m, dln) for p in LP for name, m in deep.items()}

    def far(*parts: str) -> Number:
        return lambda seed: max(apart(found[f"{p}_{part}"](seed)) for p in LP for part in parts)

    return found | {
        "farthest": far("loss_range", "distance", "beta"),
        "farthest_limit": far("limit"),
        "deep_linear_farthest": far("deep_linear_beta"),
        "deep_linear_farthest_limit": far("deep_linear_limit"),
    }


def c24() -> dict[str, Number]:
    def ratios(quantity: str, seed: int) -> dict[int, float]:
        if quantity == "l2":
            each = [by_step(seed, "shift", "l2", f"features.conv{layer}") for layer in LAYERS[1:]]
            middle = {step: sorted(one[step] for one in each) for step in each[0]}
            return {step: (found[1] + found[2]) / 2 for step, found in middle.items()}  # of four layers
        return by_step(seed, "landscape", quantity)

    def by_step(seed: int, probe: str, quantity: str, layer: str = "") -> dict[int, float]:
        sides = [vgg(norm, seed).at(probe, quantity, 0, STEPS, layer=layer) for norm in ("batch", "none")]
        return {step: sides[0][step] / sides[1][step] for step in sides[0]}

    def turned(quantity: str) -> Number:
        def number(seed: int) -> float:
            curve = list(ratios(quantity, seed).items())
            if curve[0][1] <= 1:
                return math.inf
            for (step, value), (_, then) in itertools.pairwise(curve[1:]):
                if value < 1 and then < 1:
                    return step
            return math.inf

        return number

    def slope(norm_layer: str, seed: int) -> float:
        """Least squares by its formula, x counted toward the input."""
        logs = [
            math.log(vgg(norm_layer, seed).numbers["gradients", "layer_grad_norm", f"features.conv{layer}", None][0])
            for layer in LAYERS
        ]
        places = [-float(i) for i in range(len(logs))]
        x, y = sum(places) / len(places), sum(logs) / len(logs)
        return sum((a - x) * (b - y) for a, b in zip(places, logs, strict=True)) / sum((a - x) ** 2 for a in places)

    found: dict[str, Number] = {"depth_slope": lambda seed: slope("batch", seed) - slope("none", seed)}
    for name, quantity in {"distance": "gradient_distance_high", "beta": "effective_beta", "shift": "l2"}.items():
        found[f"reversal_{name}"] = turned(quantity)
        found[f"start_{name}"] = lambda seed, q=quantity: ratios(q, seed)[0]  # type: ignore[misc]
    return found


EXPECTED = {"C9": c9, "C10": c10, "C11": c11, "C12": c12, "C13": c13, "C16": c16, "C24": c24}


@pytest.mark.parametrize("claim", EXPECTED)
def test_every_part_is_the_number_that_its_words_say(claim: str) -> None:
    check(claim, EXPECTED[claim]())


def test_smoothness_and_speed_of_every_cell() -> None:
    chosen = [(norm, rate) for (norm, rate, seed) in runs() if rate > 1e-3 and not seed]
    measures: dict[str, Callable[[Run], float]] = {
        "within_rates": lambda run: run.plateau((0.5, 1.0), 100, 1500),
        "limit": walk("stretch", 100, 1500, "curvature"),
        "whole_range": walk("effective_beta", 100, 1500),
        "distance": walk("gradient_distance_high", 100, 1500),
    }
    parts = FUNCTIONS["C23"](cells(), accuracy=0.9, steps=(100, 1500), near=(0.5, 1.0), min_cells=5)
    assert set(parts) == set(measures)
    for name, measure in measures.items():
        found = parts[name]()
        rows = {
            (norm, rate): (x, y)
            for norm, rate, x, y in zip(found.normalizers, found.rates, found.x, found.y, strict=True)
        }
        assert sorted(rows) == sorted(chosen)
        assert found.seeds == len(SEEDS)
        for (norm, rate), (x, y) in rows.items():
            pair = [vgg(norm, seed, rate) for seed in SEEDS]
            assert x == pytest.approx(sum(map(measure, pair)) / 2, rel=1e-12), name
            assert y == sum(run.reached(0.9, WINDOW) for run in pair) / 2, name
