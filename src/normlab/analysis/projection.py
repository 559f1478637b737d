"""The projection ablation: which part of BatchNorm's backward pass does training need, and at which learning rate?

Networks whose forward pass is BatchNorm's and whose backward pass leaves a part of its projection out
(`normlab.nn.detached`), beside frozen statistics and the mean alone. No claim of the paper is decided here.
"""

import math
from functools import partial

import numpy as np
import pandas as pd

from normlab.analysis.catalog import Quantity, training_quantities, walk_quantities
from normlab.analysis.cells import Cell
from normlab.analysis.estimates import PerSeed, censored, exact
from normlab.analysis.layers import typical_layer
from normlab.analysis.matching import matched_ratio
from normlab.analysis.quantities import history, phase_median, settled
from normlab.analysis.statistics import trailing_mean

PARTS = {
    "batch_detached_mean": "without μ's part of the backward pass",
    "batch_detached_variance": "without σ's part",
    "batch_detached": "without both",
    "batch_frozen": "with the first batch's statistics for good",
    "batch_mean_only": "with the mean alone",
}
"""The normalizers of the ablation, and what is different from BatchNorm, in words."""
KINDS = ("none", "batch", *PARTS)
ALIVE = 0.2  # final train accuracy of ten classes above which a network trains at all: twice chance
_WHOLE = (0.0, 1.0)


def updates_between(cell: Cell, above: float, below: float, window: int) -> PerSeed:
    """Updates from the first step whose loss, averaged over the last `window`, is at most `above`, to that for `below`.

    Speed where two networks stand equally well: a plateau above `above` does not count. Never reached: inf.
    """
    found = {}
    for seed, losses in history(cell, "loss").items():
        smooth = trailing_mean(losses, min(window, len(losses)))
        steps = [int(np.argmax(smooth <= level)) if (smooth <= level).any() else math.inf for level in (above, below)]
        found[seed] = steps[1] - steps[0] if math.isfinite(steps[1]) else math.inf
    return censored(found, cell.horizons)


def weight_growth(cell: Cell) -> PerSeed:
    """‖w‖ at the last probed step over ‖w‖ at step 0, median over the layers."""
    norms = settled(cell, "weights", "weight_norm").astype({"layer": str}).sort_values("step")
    ends = norms.groupby(["seed", "layer"])["value"].agg(["first", "last"])
    return exact((ends["last"] / ends["first"]).groupby(level="seed").median())


def smoothness_at_equal_loss(top: Cell, bottom: Cell, probe: str, quantity: str) -> PerSeed:
    """top/bottom of a landscape quantity where both networks have the same loss (`normlab.analysis.matching`)."""
    both = [settled(cell, probe, quantity, step_size=None)[["seed", "step", "value"]] for cell in (top, bottom)]
    return matched_ratio(top, bottom, (both[0], both[1]), "loss")


def quantities(window: int) -> dict[str, Quantity]:
    """What the study compares; levels are of one cell, ratios are against BatchNorm of the same seed."""
    training, walks = training_quantities(window), walk_quantities("whole")
    never, gone = training["steps_to_50_percent"].not_finite, walks["whole_stretch"].not_finite
    equal = {
        "effective_beta": ("effective β (ratio at equal loss)", "landscape"),
        "stretch": ("‖Hg‖/‖g‖ (ratio at equal loss)", "curvature"),
    }
    share = partial(typical_layer, probe="gradient_shares")
    return {
        "final_train_accuracy": training["final_train_accuracy"],
        "final_test_accuracy": training["final_test_accuracy"],
        **{
            f"updates_{above:g}_to_{below:g}": Quantity(
                f"updates from loss {above:g} to {below:g}",
                "updates",
                never,
                partial(updates_between, above=above, below=below, window=window),
            )
            for above, below in ((2.0, 1.5), (1.5, 1.0), (1.0, 0.5))
        },
        **{
            name: Quantity(
                label,
                "1/step size",
                gone,
                partial(phase_median, probe=probe, quantity=name, phase=_WHOLE, step_size=None),
                compare=partial(smoothness_at_equal_loss, probe=probe, quantity=name),
            )
            for name, (label, probe) in equal.items()
        },
        "kept": Quantity("kept share of the gradient", "", "undefined: no gradient", partial(share, quantity="kept")),
        "mean_part": Quantity("share along 1 (μ's part)", "", "undefined", partial(share, quantity="mean_part")),
        "scale_part": Quantity("share along ŷ (σ's part)", "", "undefined", partial(share, quantity="scale_part")),
        "weight_growth": Quantity("‖w‖, end over start", "", "∞: weights overflowed", weight_growth),
        "cosine": Quantity(
            "cosine of what training follows with the gradient of the loss",
            "",
            "undefined: no gradient",
            partial(phase_median, probe="followed", quantity="cosine", phase=_WHOLE),
            signed=True,
        ),
    }


def over_layers(frame: pd.DataFrame, *, relative: bool = False) -> pd.DataFrame:
    """Median over layers of every run and step, as rows for a curve; `relative` to each layer's value at step 0."""
    keys = ["norm_layer", "learning_rate", "seed"]
    rows = frame.astype({"layer": str, "norm_layer": str}).sort_values("step")
    if relative:
        rows = rows.assign(value=rows["value"] / rows.groupby([*keys, "layer"])["value"].transform("first"))
    return rows.groupby([*keys, "step"], as_index=False)["value"].median()
