"""Every named quantity of a study of random numbers against loops over plain dicts, and what is made of them."""

import math
import statistics
from collections.abc import Callable
from functools import cache

import pandas as pd
import pytest
from tests.analysis.plain import Run, geometric, make_vgg, weighted_median
from tests.analysis.synthetic import LAYERS, SPEC, STEPS

from normlab.analysis.catalog import PHASES, by_layer, checkpoint_quantities, halved, named
from normlab.analysis.cells import Cells
from normlab.analysis.metrics import cell_metrics
from normlab.tables.frames import combine

WINDOW, SEEDS = 3, (0, 1, 2)
QUANTITIES = named(WINDOW)
Measure = Callable[[Run], float]


@cache
def run(norm_layer: str, seed: int) -> Run:
    return make_vgg(norm_layer, 0.1, seed)


@cache
def cells() -> Cells:
    frames = [run(norm, seed).frame("vgg", "vgg11") for norm in ("none", "batch") for seed in SEEDS]
    return Cells(combine(frames), pd.DataFrame(), SPEC)


def of_training() -> dict[str, Measure]:
    found: dict[str, Measure] = {
        "final_test_accuracy": lambda r: r.last("test", "test_accuracy"),
        "final_train_accuracy": lambda r: r.final_accuracy(WINDOW),
        "mean_train_accuracy": lambda r: r.area(STEPS),
        "final_loss": lambda r: r.last("history", "loss"),
    }
    for percent in (50, 60, 70, 80, 90, 99):
        found[f"steps_to_{percent}_percent"] = lambda r, p=percent: r.reached(p / 100, WINDOW)  # type: ignore[misc]
    return found


def of_walks(name: str, first: int, last: int) -> dict[str, Measure]:
    """Over the steps first … last."""
    up_to_rate = (0.25, 0.5, 1.0)

    def median(quantity: str, probe: str = "landscape") -> Measure:
        return lambda r: r.median(probe, quantity, first, last)

    def width(r: Run) -> float:
        high = r.over_sizes("loss", up_to_rate, first, last, max)
        low = r.over_sizes("loss", up_to_rate, first, last, min)
        base = r.at("landscape", "loss", first, last)
        return weighted_median({step: max(high[step], base[step]) - min(low[step], base[step]) for step in base})

    def greatest(quantity: str) -> Measure:
        return lambda r: weighted_median(r.over_sizes(quantity, up_to_rate, first, last, max))

    return {
        f"{name}_loss_range": median("loss_range"),
        f"{name}_gradient_distance": median("gradient_distance_high"),
        f"{name}_effective_beta": median("effective_beta"),
        f"{name}_loss_range_up_to_rate": width,
        f"{name}_gradient_distance_up_to_rate": greatest("gradient_distance"),
        f"{name}_beta_up_to_rate": greatest("beta"),
        f"{name}_stretch": median("stretch", "curvature"),
        f"{name}_random_gradient_distance": median("gradient_distance_high", "landscape_random"),
    }


def of_step(step: int) -> dict[str, Measure]:
    def layers(quantity: str) -> Measure:
        return lambda r: statistics.median(r.at("shift", quantity, 0, 0, f"features.conv{n}")[step] for n in LAYERS)

    return {
        "start_effective_beta": lambda r: r.at("landscape", "effective_beta", step, step)[step],
        "start_gradient_distance": lambda r: r.at("landscape", "gradient_distance_high", step, step)[step],
        "start_shift": layers("l2"),
        "start_cosine": layers("cosine"),
    }


LAYERED = {  # probe, quantity, tap, layers
    "shift": ("shift", "l2", "conv", LAYERS[1:]),
    "relative_shift": ("shift", "relative_l2", "conv", LAYERS[1:]),
    "shift_cosine": ("shift", "cosine", "conv", LAYERS[1:]),
    "mean_abs_change": ("activations", "mean_abs_change", "norm", LAYERS),
    "variance_abs_change": ("activations", "variance_abs_change", "norm", LAYERS),
    "mean_abs_change_1": ("activations", "mean_abs_change_1", "norm", LAYERS),
    "relative_mean_change": ("activations", "relative_mean_change", "norm", LAYERS),
    "wasserstein": ("activations", "wasserstein", "norm", LAYERS),
}


def of_layers(name: str, r: Run) -> list[float]:
    """The mean over the steps after 0 of every layer."""
    probe, quantity, tap, layers = LAYERED[name]
    return [r.mean(probe, quantity, 1, STEPS, f"features.{tap}{layer}") for layer in layers]


def expected() -> dict[str, Measure]:
    found = of_training() | of_step(0)
    # fractions (a, b] of 15,000 updates
    for phase, window in {
        "early": (1, 6000),
        "late": (6001, STEPS),
        "last": (10_501, STEPS),
        "whole": (1, STEPS),
    }.items():
        found |= of_walks(phase, *window)
    for name in LAYERED:
        found[name] = lambda r, name=name: statistics.median(of_layers(name, r))  # type: ignore[misc]
    return found


def test_every_quantity_is_what_its_words_say() -> None:
    wanted = expected()
    assert set(QUANTITIES) == set(wanted)
    for name, measure in wanted.items():
        for norm in ("none", "batch"):
            found = QUANTITIES[name].measure(cells().vgg(norm)).values["value"]
            # sums of the same float64 numbers in another order
            assert found.tolist() == pytest.approx([measure(run(norm, s)) for s in SEEDS], rel=1e-12), name


def test_two_cells_are_compared_seed_by_seed() -> None:
    """By their ratio; by the difference, what has a sign; layer by layer, what every layer has and has no sign."""
    wanted = expected()
    for name, quantity in QUANTITIES.items():
        found = quantity.against(cells().vgg("none"), cells().vgg("batch")).values["value"]
        for seed in SEEDS:
            plain, batch = run("none", seed), run("batch", seed)
            if name in ("shift_cosine", "start_cosine"):
                value = wanted[name](plain) - wanted[name](batch)
            elif name in LAYERED:
                pairs = zip(of_layers(name, plain), of_layers(name, batch), strict=True)
                value = geometric(a / b for a, b in pairs)
            else:
                value = wanted[name](plain) / wanted[name](batch)
            assert found.loc[seed] == pytest.approx(value, rel=1e-12), name


def test_half_a_step_more_and_a_checkpoint() -> None:
    sizes = (0.5, 1.0, 4.0)
    found = halved(sizes).measure(cells().vgg("none")).values["value"].tolist()
    last = (10_501, STEPS)
    wanted = [run("none", s).plateau((0.25, *sizes), *last) / run("none", s).plateau(sizes, *last) for s in SEEDS]
    assert found == pytest.approx(wanted, rel=1e-12)
    names = (("landscape", "effective_beta"), ("curvature", "stretch"), ("landscape", "loss_range"))
    for quantity, (probe, name) in zip(checkpoint_quantities(600), names, strict=True):
        values = quantity.measure(cells().vgg("none")).values["value"].tolist()
        assert values == [run("none", seed).at(probe, name, 600, 600)[600] for seed in SEEDS]


def test_the_metrics_of_a_cell_are_means_of_accuracies_and_medians_of_the_rest() -> None:
    wanted, found = expected(), cell_metrics(cells().vgg("batch"), QUANTITIES)
    assert (found.pop("seeds"), found.pop("diverged_seeds")) == (3, 0)
    for level in (50, 60, 80, 90):
        steps = [run("batch", seed).reached(level / 100, WINDOW) for seed in SEEDS]
        assert found.pop(f"reached_{level}_percent") == sum(map(math.isfinite, steps))
    for name, value in found.items():
        each = [wanted[name](run("batch", seed)) for seed in SEEDS]
        center = statistics.fmean(each) if name.endswith("accuracy") else statistics.median(each)
        assert value == float(f"{center:.8g}"), name  # it is written with eight digits
    parts = ("loss_range", "gradient_distance", "effective_beta", "loss_range_up_to_rate", "beta_up_to_rate", "stretch")
    assert set(found) == {
        *(f"{phase}_{part}" for phase in ("early", "late") for part in parts),
        *("final_loss", "final_test_accuracy", "final_train_accuracy", "mean_train_accuracy"),
        *(f"steps_to_{level}_percent" for level in (50, 60, 80, 90)),
    }


def test_the_table_by_layer_holds_the_mean_over_the_run_of_each() -> None:
    table = by_layer([cells().vgg("none"), cells().vgg("batch")], "activations", "wasserstein")
    assert len(table) == 2 * len(SEEDS) * len(LAYERS)
    for row in table.itertuples():
        wanted = run(row.norm_layer, row.seed).mean("activations", "wasserstein", 1, STEPS, row.layer)
        assert (row.network, row.learning_rate) == ("vgg11", 0.1)
        assert row.value == pytest.approx(wanted, rel=1e-12)


def test_the_phases_are_those_of_the_words() -> None:
    assert {name: span for name, (span, _) in PHASES.items()} == {
        "early": (0.0, 0.4), "late": (0.4, 1.0), "last": (0.7, 1.0), "whole": (0.0, 1.0)
    }  # fmt: skip
