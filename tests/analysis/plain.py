"""A study of random numbers, no two of them alike, and what a study amounts to by loops over plain dicts.

In the synthetic studies every step, layer and step size of a run has the same number, so that a verdict can be chosen.
Here a number that is read at another step, layer, size, seed or network is another number.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from tests.analysis.synthetic import DLN_PROBED, DLN_SIZES, LAYERS, PROBED, SIZES, STEPS, WALKS

from normlab.tables.rows import Rows

SEEDS = (0, 1)
SUMMARY = ("loss", "grad_norm", "loss_range", "loss_range_steps", "gradient_distance_high", "effective_beta")
AT_SIZE = ("loss", "gradient_distance", "beta", "gradient_cosine")
MOVES = ("mean_abs_change", "variance_abs_change", "wasserstein", "relative_mean_change")
MOVES_1 = ("mean_abs_change_1", "variance_abs_change_1", "relative_mean_change_1")
SIGNED = ("cosine", "gradient_cosine")
Key = tuple[str, str, str, float | None]  # probe, quantity, layer, step size in learning rates


class Run:
    """One run: its numbers by (probe, quantity, layer, step size) and step, and the same as rows of the table."""

    def __init__(self, draws: np.random.Generator, norm_layer: str, rate: float, seed: int, steps: int) -> None:
        self.draws, self.norm_layer, self.rate, self.seed, self.steps = draws, norm_layer, rate, seed, steps
        self.numbers: dict[Key, dict[int, float]] = {}

    def add(
        self, probe: str, quantity: str, step: int, layer: str = "", size: float | None = None, value: float = math.nan
    ) -> None:
        """One number, a random one unless it is given."""
        if math.isnan(value):
            value = self.draws.uniform(-1, 1) if quantity in SIGNED else math.exp(self.draws.normal(0, 0.7))
        self.numbers.setdefault((probe, quantity, layer, size), {})[step] = float(value)

    def walks(self, probed: Iterable[int], sizes: Sequence[float], probes: Sequence[str]) -> None:
        for step in probed:
            for probe in probes:
                for quantity in SUMMARY:
                    self.add(probe, quantity, step)
                for size in sizes:
                    for quantity in AT_SIZE:
                        self.add(probe, quantity, step, size=size)
            self.add("curvature", "stretch", step)
            if step % 3000 == 0:
                self.add("curvature", "top_eigenvalue", step)

    def layers(self, probed: Iterable[int]) -> None:
        for step in probed:
            for layer in LAYERS:
                conv, norm = f"features.conv{layer}", f"features.norm{layer}"
                for quantity in ("l2", "relative_l2"):
                    self.add("shift", quantity, step, conv, value=0.0 if layer == 1 else math.nan)
                self.add("shift", "cosine", step, conv, value=1.0 if layer == 1 else math.nan)
                self.add("gradients", "layer_grad_norm", step, conv)
                for quantity in (*MOVES, *MOVES_1) if step else MOVES_1:
                    for probe, tap in (("activations", norm), ("activations_fixed", norm), ("activations_fixed", conv)):
                        self.add(probe, quantity, step, tap)

    def trained(self, rises: float, final: float) -> None:
        """History, test and held-out accuracies; the training accuracy rises from 0.2 toward `final`, and wavers."""
        for step in range(0, self.steps, 100):
            accuracy = 0.2 + (final - 0.2) * (1 - math.exp(-step / rises)) + self.draws.uniform(-0.02, 0.02)
            self.add("history", "train_accuracy", step, value=min(max(accuracy, 0.0), 1.0))
            self.add("history", "loss", step)
        for step in (5000, 8000, self.steps):
            self.add("test", "test_accuracy", step, value=self.draws.uniform(0.5, 0.9))
        for step in (0, 1500, 6000, self.steps):
            self.add("held_out", "held_out_accuracy", step, value=self.draws.uniform(0.5, 0.9))
        for place in range(1, LAYERS[-1] + 1):
            for tap in ("conv", "norm"):
                self.add("structure", "place", 0, f"features.{tap}{place}", value=place)

    def frame(self, study: str, network: str) -> pd.DataFrame:
        """Its rows, and for each walk a row of another batch, which no claim is about."""
        keys = {"study": study, "network": network, "norm_layer": self.norm_layer, "learning_rate": self.rate}
        rows = Rows({**keys, "seed": self.seed})
        for (probe, quantity, layer, size), by_step in self.numbers.items():
            for step, value in by_step.items():
                step_size = math.nan if size is None else size * self.rate
                rows.add(probe, step, {quantity: value}, layer=layer, step_size=step_size)
                if probe.startswith("landscape") and size is None:
                    rows.add(probe, step, {quantity: 1e3 * value}, batch=1)
        rows.add("summary", self.steps, {"steps": self.steps, "diverged_at": math.nan})
        return rows.frame()

    # what a run amounts to

    def at(
        self, probe: str, quantity: str, first: int, last: int, layer: str = "", size: float | None = None
    ) -> dict[int, float]:
        """The numbers of a window of steps, both ends included."""
        found = self.numbers[probe, quantity, layer, size]
        return {step: found[step] for step in sorted(found) if first <= step <= last}

    def median(
        self, probe: str, quantity: str, first: int, last: int, layer: str = "", size: float | None = None
    ) -> float:
        return weighted_median(self.at(probe, quantity, first, last, layer, size))

    def mean(self, probe: str, quantity: str, first: int, last: int, layer: str) -> float:
        return weighted_mean(self.at(probe, quantity, first, last, layer))

    def over_sizes(
        self, quantity: str, sizes: Sequence[float], first: int, last: int, reduce: Callable[[list[float]], float]
    ) -> dict[int, float]:
        """At every step, one number of the values at several step sizes of the walk along the gradient."""
        each = [self.at("landscape", quantity, first, last, size=size) for size in sizes]
        return {step: reduce([one[step] for one in each]) for step in each[0]}

    def plateau(self, sizes: Sequence[float], first: int, last: int) -> float:
        return weighted_median(self.over_sizes("beta", sizes, first, last, max))

    def reached(self, level: float, window: int) -> float:
        """The batches seen when the mean of `window` recorded accuracies was first at least `level`."""
        curve = sorted(self.numbers["history", "train_accuracy", "", None].items())
        for end in range(window, len(curve) + 1):
            if sum(value for _, value in curve[end - window : end]) / window >= level:
                return curve[end - 1][0] + 1.0
        return math.inf

    def last(self, probe: str, quantity: str, until: int = 10**9) -> float:
        found = self.numbers[probe, quantity, "", None]
        return found[max(step for step in found if step <= until)]

    def area(self, until: int) -> float:
        seen = [v for step, v in self.numbers["history", "train_accuracy", "", None].items() if step < until]
        return sum(seen) / len(seen)

    def final_accuracy(self, window: int) -> float:
        curve = sorted(self.numbers["history", "train_accuracy", "", None].items())
        return sum(value for _, value in curve[-window:]) / window


def stands_for(steps: Sequence[int]) -> list[float]:
    """Half the gap to either neighbor; at an end its one gap."""
    if len(steps) == 1:
        return [1.0]
    found = []
    for i, step in enumerate(steps):
        if i == 0:
            found.append(float(steps[1] - step))
        elif i == len(steps) - 1:
            found.append(float(step - steps[i - 1]))
        else:
            found.append((steps[i + 1] - steps[i - 1]) / 2)
    return found


def weighted_mean(by_step: dict[int, float]) -> float:
    weights = stands_for(list(by_step))
    return sum(w * v for w, v in zip(weights, by_step.values(), strict=True)) / sum(weights)


def weighted_median(by_step: dict[int, float]) -> float:
    """Midway between the least value that at least half of the weight does not exceed, and the greatest that at least
    half of it is not below."""
    pairs = list(zip(by_step.values(), stands_for(list(by_step)), strict=True))
    half = sum(weight for _, weight in pairs) / 2
    low = min(v for v, _ in pairs if sum(w for u, w in pairs if u <= v) >= half)
    high = max(v for v, _ in pairs if sum(w for u, w in pairs if u >= v) >= half)
    return (low + high) / 2


def geometric(values: Iterable[float]) -> float:
    listed = list(values)
    return math.prod(listed) ** (1 / len(listed))


def in_bins(values: dict[int, float], axis: dict[int, float], edges: Sequence[float]) -> dict[int, float]:
    """The mean of the values in every bin [edge, next edge) of an axis, over the steps after 0 that have both."""
    found: dict[int, list[float]] = {}
    for step, value in values.items():
        for number, (low, high) in enumerate(itertools.pairwise(edges)):
            if step > 0 and step in axis and low <= axis[step] < high:
                found.setdefault(number, []).append(value)
    return {number: sum(each) / len(each) for number, each in found.items()}


def make_vgg(norm_layer: str, rate: float, seed: int, final: float = 1.0, steps: int = STEPS) -> Run:
    draws = np.random.default_rng([seed, round(1e4 * rate), *norm_layer.encode()])
    run = Run(draws, norm_layer, rate, seed, steps)
    probed = [step for step in PROBED if step <= steps]
    run.trained(rises=draws.uniform(500, 3000), final=final)
    run.walks(probed, SIZES, WALKS)
    run.layers(probed)
    return run


def make_dln(norm_layer: str, rate: float, seed: int) -> Run:
    draws = np.random.default_rng([seed, round(1e9 * rate), *norm_layer.encode()])
    run = Run(draws, norm_layer, rate, seed, 10_000)
    for step in (0, 5000, 10_000):
        run.add("history", "loss", step)
    run.walks(DLN_PROBED, DLN_SIZES, ("landscape",))
    for step in DLN_PROBED:
        for layer in (9, 17):
            run.add("shift", "cosine", step, f"layers.linear{layer}")
    return run
