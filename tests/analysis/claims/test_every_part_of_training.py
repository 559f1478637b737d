"""Every part of the claims about training, activations, shift and losses, by the words of `claims.yaml`."""

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
    fold,
    matched,
    steps_to,
    vgg,
)
from tests.analysis.plain import SEEDS, Run, geometric, weighted_mean
from tests.analysis.synthetic import LAYERS, STEPS

from normlab.analysis.claims.registry import FUNCTIONS


def best(norm_layer: str, score: Callable[[Run], float]) -> float:
    """The rate with the highest median score of two seeds."""
    return max((0.01, 0.1, 0.3), key=lambda rate: sum(score(vgg(norm_layer, seed, rate)) for seed in SEEDS) / 2)


def held_out(run: Run) -> float:
    return weighted_mean(run.numbers["held_out", "held_out_accuracy", "", None])


def c1() -> dict[str, Number]:
    def tested(norm_layer: str, rate: float = 0.1) -> Number:
        return lambda seed: vgg(norm_layer, seed, rate).last("test", "test_accuracy")

    def own(score: Callable[[Run], float]) -> tuple[float, float]:
        return best("none", score), best("batch", score)

    slow, fast = own(held_out)
    plain, normalized = own(lambda run: run.last("held_out", "held_out_accuracy"))
    return {
        "speed": fold("none", "batch", steps_to(0.9)),
        "test": lambda s: tested("batch")(s) - tested("none")(s),
        "speed_own_rates": lambda s: steps_to(0.9)(vgg("none", s, slow)) / steps_to(0.9)(vgg("batch", s, fast)),
        "test_own_rates": lambda s: tested("batch", normalized)(s) - tested("none", plain)(s),
    }


def moves() -> dict[str, tuple[str, str]]:
    return {
        "mean": ("mean_abs_change", "norm"),
        "variance": ("variance_abs_change", "norm"),
        "wasserstein": ("wasserstein", "norm"),
        "relative_mean": ("relative_mean_change", "norm"),
        "mean_1": ("mean_abs_change_1", "norm"),
        "variance_1": ("variance_abs_change_1", "norm"),
        "relative_mean_1": ("relative_mean_change_1", "norm"),
        "mean_conv": ("mean_abs_change", "conv"),
        "variance_conv": ("variance_abs_change", "conv"),
        "wasserstein_conv": ("wasserstein", "conv"),
        "relative_mean_conv": ("relative_mean_change", "conv"),
    }


def moved(top: str, bottom: str, part: str, layer: int) -> Number:
    name, tap = moves()[part]
    probe = "activations" if tap == "norm" else "activations_fixed"
    return fold(top, bottom, lambda run: run.mean(probe, name, 100, 6000, f"features.{tap}{layer}"))


def c3() -> dict[str, Number]:
    def mean_fold(part: str) -> Number:
        return lambda seed: geometric(moved("none", "batch", part, layer)(seed) for layer in LAYERS)

    return {part: mean_fold(part) for part in moves()}


def c4() -> dict[str, Number]:
    def closer(measure: Callable[[Run], float]) -> Number:
        def number(seed: int) -> float:
            noisy, plain, normalized = (measure(vgg(name, seed)) for name in ("noisy_batch", "none", "batch"))
            return abs(noisy - plain) - abs(noisy - normalized)

        return number

    def log_steps(level: float) -> Callable[[Run], float]:
        return lambda run: math.log(run.reached(level, WINDOW))

    levels = [closer(log_steps(level)) for level in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)]
    return {
        "closer_area": closer(lambda run: run.area(6000)),
        "better_area": lambda s: vgg("noisy_batch", s).area(6000) - vgg("none", s).area(6000),
        "gap_area": lambda s: vgg("batch", s).area(6000) - vgg("noisy_batch", s).area(6000),
        "closer_levels": lambda s: sum(number(s) for number in levels) / len(levels),
        "closer_steps": closer(log_steps(0.9)),
        "better_steps": fold("none", "noisy_batch", steps_to(0.9)),
    }


def c5() -> dict[str, Number]:
    def least(part: str) -> Number:
        return lambda seed: min(moved("noisy_batch", "none", part, layer)(seed) for layer in (2, 9, 13))

    return {part: least(part) for part in moves()}


def c6() -> dict[str, Number]:
    return {"final": lambda seed: vgg("noise", seed).final_accuracy(WINDOW)}


def c7() -> dict[str, Number]:
    def at_equal(quantity: str, axis: str) -> Number:
        def number(seed: int) -> float:
            each = []
            for layer in LAYERS[1:]:
                pairs = matched(quantity, axis, f"features.conv{layer}", "shift", (100, 6000))("batch", "none", seed)
                gaps = [a - b for a, b in pairs]
                each.append(sum(gaps) / len(gaps) if quantity == "cosine" else geometric(a / b for a, b in pairs))
            return sum(each) / len(each) if quantity == "cosine" else geometric(each)

        return number

    def at_steps(quantity: str) -> Number:
        def number(seed: int) -> float:
            pairs = []
            for layer in LAYERS[1:]:
                sides = [
                    vgg(norm, seed).mean("shift", quantity, 100, 6000, f"features.conv{layer}")
                    for norm in ("batch", "none")
                ]
                pairs.append(sides)
            if quantity == "cosine":
                return sum(a - b for a, b in pairs) / len(pairs)
            return geometric(a / b for a, b in pairs)

        return number

    found: dict[str, Number] = {}
    for name, quantity in {"l2": "l2", "cosine": "cosine", "relative": "relative_l2"}.items():
        found[name] = at_equal(quantity, "loss")
        found[f"{name}_equal_accuracy"] = at_equal(quantity, "train_accuracy")
        found[f"{name}_equal_steps"] = at_steps(quantity)
    return found


def c8() -> dict[str, Number]:
    def cosine(norm_layer: str, rate: float, layer: int) -> Number:
        return lambda seed: dln(norm_layer, seed, rate).mean("shift", "cosine", 1, 10_000, f"layers.linear{layer}")

    points = [(rate, layer) for rate in (1e-6, 1e-7) for layer in (9, 17)]
    found = {
        f"{norm}_{rate:g}_{layer}": cosine(norm, rate, layer) for norm in ("none", "batch") for rate, layer in points
    }
    found["none_least"] = lambda seed: min(cosine("none", *point)(seed) for point in points)
    found["batch_most"] = lambda seed: max(abs(cosine("batch", *point)(seed)) for point in points)
    return found


def c14() -> dict[str, Number]:
    def gap(p: str) -> Number:
        until = 9000 if p == "linf" else STEPS  # as long as both were trained
        return lambda s: (
            vgg(p, s).last("test", "test_accuracy", until) - vgg("batch", s).last("test", "test_accuracy", until)
        )

    found: dict[str, Number] = {
        "farthest": lambda s: max(apart(fold(p, "batch", steps_to(0.9))(s)) for p in LP),
        "slowest_against_none": lambda s: max(fold(p, "none", steps_to(0.9))(s) for p in LP),
        "farthest_test": lambda s: max(abs(gap(p)(s)) for p in LP),
    }
    for p in LP:
        found[f"{p}_steps"] = fold(p, "batch", steps_to(0.9))
        found[f"{p}_against_none"] = fold(p, "none", steps_to(0.9))
        found[f"{p}_test"] = gap(p)
    return found


def c15() -> dict[str, Number]:
    def end(run: Run) -> float:
        return run.last("history", "loss")

    found: dict[str, Number] = {
        "l1_share": lambda s: float(end(dln("l1", s)) < end(dln("batch", s))),
        "highest_against_none": lambda s: max(fold(p, "none", end, dln)(s) for p in LP),
        "highest_against_batch": lambda s: max(fold(p, "batch", end, dln)(s) for p in LP),
    }
    for p in LP:
        found[f"{p}_against_none"] = fold(p, "none", end, dln)
        found[f"{p}_against_batch"] = fold(p, "batch", end, dln)
    return found


def c17() -> dict[str, Number]:
    found: dict[str, Number] = {}
    for name in ("relative_mean_conv", "wasserstein_conv", "relative_mean", "wasserstein"):
        found[name] = lambda seed, name=name: min(moved(p, "none", name, 11)(seed) for p in LP)  # type: ignore[misc]
        for p in LP:
            found[f"{p}_{name}"] = moved(p, "none", name, 11)
    return found


EXPECTED = {"C1": c1, "C3": c3, "C4": c4, "C5": c5, "C6": c6, "C7": c7, "C8": c8, "C14": c14, "C15": c15, "C17": c17}


@pytest.mark.parametrize("claim", EXPECTED)
def test_every_part_is_the_number_that_its_words_say(claim: str) -> None:
    check(claim, EXPECTED[claim]())


def test_the_largest_rate_is_between_that_of_the_grid_and_the_next_one() -> None:
    parts = FUNCTIONS["C2"](cells(), alive=0.2, accuracy=0.9)
    for name in ("rate_ratio", "reaching"):
        found = parts[name]().values
        # seed 0: batch in [0.3, ∞), none in [0.1, 0.3); seed 1: both in [0.3, ∞)
        assert found["value"].tolist() == pytest.approx([3.0, 1.0], rel=1e-12)
        assert found["low"].tolist() == pytest.approx([1.0, 0.0], rel=1e-12)
        assert found["high"].tolist() == [math.inf, math.inf]
