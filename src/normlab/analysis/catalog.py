"""The quantities by name: what metrics.json, the pages and the figures call the same thing is the same function.

A quantity is a number a seed of a cell, with its unit and its rule for what is not finite. The claims use the same
functions with the phases that their rules name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, difference, ratio
from normlab.analysis.layers import layer_fold, layer_means, typical_layer
from normlab.analysis.quantities import (
    Phase,
    at_step,
    final_loss,
    final_test_accuracy,
    final_train_accuracy,
    mean_train_accuracy,
    phase_median,
    steps_to_accuracy,
)
from normlab.analysis.walks import beta_up_to_rate, halved_step, largest_up_to_rate, range_up_to_rate

Measure = Callable[[Cell], PerSeed]

PHASES: dict[str, tuple[Phase, str]] = {
    "early": ((0.0, 0.4), "first 40 %"),
    "late": ((0.4, 1.0), "last 60 %"),
    "last": ((0.7, 1.0), "last 30 %"),
    "whole": ((0.0, 1.0), "whole run"),
}
ACCURACIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.99)

_ENDS = "a run that diverged ends with what its non-finite weights score"
_NEVER = "∞: never reached in the planned updates"
_LOSS = "∞: the run diverged"
_WALK = "∞: the walk left the floating range; a step whose gradient is 0 or not finite is left out"
_LAYERS = "undefined where a layer has no value after step 0"


@dataclass(frozen=True)
class Quantity:
    """A number of every seed, defined once.

    Attributes:
        label: in tables and sentences, without the unit.
        unit: in which it is counted; empty for a pure number.
        not_finite: what ∞ and a missing value of it mean.
        measure: the number of every seed of a cell.
        compare: how two cells are compared seed by seed; by default their ratio.
        center: of the seeds in metrics.json; a median where values may be infinite.
    """

    label: str
    unit: str
    not_finite: str
    measure: Measure
    compare: Callable[[Cell, Cell], PerSeed] | None = None
    signed: bool = False
    center: Literal["median", "mean"] = "median"

    def against(self, over: Cell, under: Cell) -> PerSeed:
        """`over` compared with `under`, seed by seed: the ratio, or the difference of a signed quantity."""
        if self.compare is not None:
            return self.compare(over, under)
        return (difference if self.signed else ratio)(self.measure(over), self.measure(under))

    @property
    def function(self) -> Callable[..., Any]:
        """The function that defines it, without the settings that are bound to it."""
        return self.measure.func if isinstance(self.measure, partial) else self.measure


def named(window: int) -> dict[str, Quantity]:
    """All named quantities: those of training, of the walks by phase, of step 0, and of the layers.

    Args:
        window: steps of the trailing mean of training accuracy (`analyze.window`).
    """
    found = training_quantities(window)
    for phase in PHASES:
        found |= walk_quantities(phase)
    return found | start_quantities() | layer_quantities()


def halved(step_sizes: Sequence[float]) -> Quantity:
    """What the plateau of the effective β does when half of the smallest of these step sizes joins the grid."""
    phase, words = PHASES["last"]
    label = f"effective β with η_min/2 ÷ without (2: only 1/η_min), {words}"
    return Quantity(label, "", _WALK, partial(halved_step, phase=phase, step_sizes=step_sizes))


def training_quantities(window: int) -> dict[str, Quantity]:
    """What the history of training amounts to; accuracies are in [0, 1], averaged over `window` steps."""
    found = {
        "final_test_accuracy": Quantity("final test accuracy", "", _ENDS, final_test_accuracy, center="mean"),
        "final_train_accuracy": Quantity(
            f"train accuracy, mean of the last {window} steps",
            "",
            _ENDS,
            partial(final_train_accuracy, window=window),
            center="mean",
        ),
        "mean_train_accuracy": Quantity("mean train accuracy", "", _ENDS, mean_train_accuracy, center="mean"),
    }
    for accuracy in ACCURACIES:
        percent = round(100 * accuracy)
        steps = partial(steps_to_accuracy, accuracy=accuracy, window=window)
        found[f"steps_to_{percent}_percent"] = Quantity(f"steps to {percent} %", "updates", _NEVER, steps)
    return found | {"final_loss": Quantity("final loss", "loss", _LOSS, final_loss)}


def walk_quantities(name: str) -> dict[str, Quantity]:
    """The walk along the gradient and the curvature, as medians over the steps of the phase `name`."""
    phase, words = PHASES[name]

    def walk(label: str, unit: str, function: Callable[..., PerSeed], **settings: Any) -> Quantity:
        return Quantity(f"{label}, {words}", unit, _WALK, partial(function, phase=phase, **settings))

    summary: dict[str, Any] = {"probe": "landscape", "step_size": None}
    return {
        f"{name}_loss_range": walk("width of the loss band", "loss", phase_median, quantity="loss_range", **summary),
        f"{name}_gradient_distance": walk(
            "upper edge of the gradient change",
            "gradient norm",
            phase_median,
            quantity="gradient_distance_high",
            **summary,
        ),
        f"{name}_effective_beta": walk(
            "effective β", "1/step size", phase_median, quantity="effective_beta", **summary
        ),
        f"{name}_loss_range_up_to_rate": walk(
            "width of the loss band at step sizes ≤ learning rate", "loss", range_up_to_rate
        ),
        f"{name}_gradient_distance_up_to_rate": walk(
            "greatest gradient change at step sizes ≤ learning rate",
            "gradient norm",
            largest_up_to_rate,
            quantity="gradient_distance",
        ),
        f"{name}_beta_up_to_rate": walk("effective β at step sizes ≤ learning rate", "1/step size", beta_up_to_rate),
        f"{name}_stretch": walk(
            "‖Hg‖/‖g‖ (β for η → 0)", "1/step size", phase_median, probe="curvature", quantity="stretch"
        ),
        f"{name}_random_gradient_distance": walk(
            "random directions, upper edge of the gradient change",
            "gradient norm",
            phase_median,
            quantity="gradient_distance_high",
            probe="landscape_random",
            step_size=None,
        ),
    }


def start_quantities() -> dict[str, Quantity]:
    """The untrained network: claim C24's numbers at step 0."""
    walk: dict[str, Any] = {"probe": "landscape", "step": 0, "step_size": None}
    return {
        "start_effective_beta": Quantity(
            "effective β at step 0", "1/step size", _WALK, partial(at_step, quantity="effective_beta", **walk)
        ),
        "start_gradient_distance": Quantity(
            "upper edge of the gradient change at step 0",
            "gradient norm",
            _WALK,
            partial(at_step, quantity="gradient_distance_high", **walk),
        ),
        "start_shift": Quantity(
            "‖G − G′‖ at step 0, median over layers",
            "",
            _LAYERS,
            partial(at_step, probe="shift", quantity="l2", step=0),
        ),
        "start_cosine": Quantity(
            "cosine of G and G′ at step 0, median over layers",
            "",
            _LAYERS,
            partial(at_step, probe="shift", quantity="cosine", step=0),
            signed=True,
        ),
    }


def checkpoint_quantities(step: int) -> list[Quantity]:
    """The landscape of the checkpoint at `step`, as the study `reparametrization` measures it."""
    walk: dict[str, Any] = {"probe": "landscape", "step": step, "step_size": None}
    beta = partial(at_step, quantity="effective_beta", **walk)
    limit = partial(at_step, probe="curvature", quantity="stretch", step=step)
    width = partial(at_step, quantity="loss_range", **walk)
    return [
        Quantity(f"effective β, step {step}", "1/step size", _WALK, beta),
        Quantity(f"‖Hg‖/‖g‖ (η → 0), step {step}", "1/step size", _WALK, limit),
        Quantity(f"width of the loss band, step {step}", "loss", _WALK, width),
    ]


def layer_quantities() -> dict[str, Quantity]:
    """Levels are medians over layers of the mean over the run; ratios of two networks are taken layer by layer.

    The first layer has no covariate shift by definition and is left out there.
    """
    shift: dict[str, Any] = {"probe": "shift", "later": True}
    found = {
        name: Quantity(
            label,
            "",
            _LAYERS,
            partial(typical_layer, quantity=quantity, **shift),
            compare=partial(layer_fold, quantity=quantity, **shift),
        )
        for name, (label, quantity) in {
            "shift": ("‖G − G′‖", "l2"),
            "relative_shift": ("‖G − G′‖/‖G‖", "relative_l2"),
        }.items()
    }
    cosine = partial(typical_layer, quantity="cosine", **shift)
    found["shift_cosine"] = Quantity("cosine of G and G′", "", _LAYERS, cosine, signed=True)
    for quantity, label in MOVES.items():
        settings: dict[str, Any] = {"probe": "activations", "quantity": quantity}
        found[quantity] = Quantity(
            label, "", _LAYERS, partial(typical_layer, **settings), compare=partial(layer_fold, **settings)
        )
    return found


MOVES = {
    "mean_abs_change": "|Δμ|",
    "variance_abs_change": "|Δσ²|",
    "mean_abs_change_1": "|Δμ| over one step",
    "relative_mean_change": "|Δμ|/σ",
    "wasserstein": "W₁/σ",
}


def by_run(cells: Iterable[Cell], measure: Measure) -> pd.DataFrame:
    """One row a run of the cells that were measured: columns network, norm_layer, learning_rate, seed, value."""
    return table_of(cells, lambda cell: _rows(measure(cell)))


def by_run_and(column: str, cells: Iterable[Cell], measure: Callable[[Cell], Mapping[Any, PerSeed]]) -> pd.DataFrame:
    """As `by_run`, with a further column: one row a run × key of the mapping, such as a step size."""
    return table_of(
        cells,
        lambda cell: pd.concat([_rows(number).assign(**{column: key}) for key, number in measure(cell).items()]),
    )


def by_layer(cells: Iterable[Cell], probe: str, quantity: str) -> pd.DataFrame:
    """One row a run × layer: the mean over the run of a quantity that every layer has; columns layer and value too."""
    return table_of(cells, lambda cell: _rows_of_layers(layer_means(cell, probe, quantity)))


def by_normalizer(cells: Iterable[Cell], measure: Measure) -> pd.DataFrame:
    """The value of every seed (rows) and normalizer (columns), of cells that differ in nothing else."""
    return by_run(cells, measure).pivot(index="seed", columns="norm_layer", values="value")


def table_of(cells: Iterable[Cell], rows: Callable[[Cell], pd.DataFrame]) -> pd.DataFrame:
    """The rows of all cells that were measured, with columns network, norm_layer and learning_rate before their own."""
    found = []
    for cell in cells:
        try:
            table = rows(cell)
        except NotRunError:
            continue
        table.insert(0, "learning_rate", cell.learning_rate)
        table.insert(0, "norm_layer", cell.norm_layer)
        table.insert(0, "network", cell.network)
        found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=_COLUMNS)


_COLUMNS = ["network", "norm_layer", "learning_rate", "seed", "layer", "step_size", "step", "value"]


def _rows(number: PerSeed) -> pd.DataFrame:
    return number.values["value"].rename_axis("seed").reset_index()


def _rows_of_layers(means: pd.DataFrame) -> pd.DataFrame:
    return means.rename_axis("seed").reset_index().melt("seed", var_name="layer", value_name="value")
