import math

import pandas as pd
import pytest

from normlab.analysis.reversals import reversal


def ratios(values: dict[int, float]) -> pd.DataFrame:
    return pd.DataFrame({"seed": 0, "step": list(values), "value": list(values.values())})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0: 60.0, 100: 3.5, 200: 0.3, 300: 0.6}, 200.0),
        ({0: 60.0, 100: 0.9, 200: 1.3, 300: 0.6, 400: 0.6}, 300.0),  # one step below 1 is not yet a reversal
        ({0: 60.0, 100: 3.5, 200: 2.0, 300: 0.6}, math.inf),  # the last one has no next
        ({0: 0.5, 100: 0.3, 200: 0.3}, math.inf),  # never rougher: nothing to reverse
        ({0: 1.0, 100: 0.3, 200: 0.3}, math.inf),
        ({0: 60.0, 1: 0.5, 2: 0.5}, 1.0),
        ({0: 60.0, 100: 1.0, 200: 0.5, 300: 0.5}, 200.0),  # equal is not yet below
        ({0: 60.0, 100: 0.5, 200: 1.0, 300: 0.5}, math.inf),
    ],
)
def test_the_step_from_which_a_ratio_stays_below_1(values: dict[int, float], expected: float) -> None:
    found = reversal(ratios(values), {0: 300.0}).values.loc[0]
    assert found["value"] == expected
    assert found["low"] == (301.0 if expected == math.inf else expected)


def test_what_was_not_measured_at_the_start_is_unknown_and_answers_nothing() -> None:
    found = reversal(ratios({100: 2.0, 200: 0.3, 300: 0.3}), {0: 300.0}).values.loc[0]
    assert math.isnan(found["value"])
    assert (found["low"], found["high"]) == (0.0, math.inf)
