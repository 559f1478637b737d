"""When one network stops being the rougher one."""

import math
from collections.abc import Mapping

import pandas as pd

from normlab.analysis.estimates import PerSeed, censored


def reversal(ratios: pd.DataFrame, planned: Mapping[int, float] | pd.Series) -> PerSeed:
    """The first probed step at which a ratio is below 1 and still is at the next probed one; inf if there is none.

    A ratio that is not above 1 at step 0 has nothing to reverse: inf as well. One that is not known at step 0 is
    unknown: neither the one nor the other.

    Args:
        ratios: columns seed, step, value; one row a seed × step.
        planned: updates of each seed's run, beyond which nothing is known.
    """
    found, unknown = {}, []
    for seed, group in ratios.sort_values("step").groupby("seed"):
        curve = group.set_index("step")["value"]
        after = curve[curve.index > 0]
        lower = (after < 1) & (after.shift(-1) < 1)
        if 0 not in curve.index:
            unknown.append(seed)
        starts_rougher = curve.get(0, math.nan) > 1
        found[seed] = float(lower.idxmax()) if starts_rougher and lower.any() else math.inf
    table = censored(found, planned).values
    table.loc[unknown] = [math.nan, 0.0, math.inf]
    return PerSeed(table, "ratio")
