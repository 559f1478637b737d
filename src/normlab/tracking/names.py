"""What a number is called in a tracker, and how many of its points are stored.

MLflow shows the charts of a name's part before the last slash together, and these sections in the order of the
alphabet. So a training's own curves come first (`fit`), then the landscape, then what is measured layer by layer, a
section a quantity and a chart a layer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

MAX_POINTS = 500
FIT = {"history": "train", "test": "test", "held_out": "held_out"}  # what a training writes itself: table → split

Series = dict[str, list[tuple[int, float]]]
Point = TypeVar("Point")


def metric_name(probe: str, quantity: str, layer: str = "") -> str:
    """`fit/train_loss`, `landscape/effective_beta`, `layers/shift/cosine/features.conv5`, …

    Args:
        probe: as in the tables.
        quantity: as in the tables.
        layer: the module it was measured at; "" if it is of the whole network.
    """
    if probe in FIT:
        split = FIT[probe]
        return f"fit/{split}_{quantity.removeprefix(f'{split}_')}"
    if probe == "curvature" or probe.startswith("landscape"):
        return f"{probe.replace('curvature', 'landscape_curvature')}/{quantity}"
    return "/".join(part for part in ("layers", probe, quantity, layer) if part)


def thin(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """Every n-th point with the smallest n that leaves at most `most`, and the last one; no averaging."""
    every = math.ceil(len(points) / most)
    return [*points[:-1:every], *points[-1:]] if every > 1 else list(points)


def live_series(steps: Sequence[tuple[int, Mapping[str, float]]]) -> Series:
    """What a training reports, step by step, as series."""
    series: Series = {}
    for step, values in steps:
        for quantity, value in values.items():
            series.setdefault(metric_name("history", quantity), []).append((step, value))
    return series
