"""The table of the learning-rate study on runs whose best and largest usable rates are known."""

import pandas as pd

from normlab.pages.rates import rates_table


def _run(kind: str, rate: float, seed: int, reach: int, steps: int = 40) -> list[dict]:
    keys = {"norm_layer": kind, "learning_rate": rate, "seed": seed, "quantity": "train_accuracy", "probe": "history"}
    return [{**keys, "step": step, "value": 1.0 if step >= reach else 0.1} for step in range(steps)]


def _frame(*runs: tuple[str, float, int, int]) -> pd.DataFrame:
    return pd.DataFrame([row for run in runs for row in _run(*run)])


def test_best_and_largest_usable_rate() -> None:
    frame = _frame(
        *(("none", rate, seed, reach) for rate, reach in ((0.1, 20), (0.3, 99)) for seed in (0, 1)),
        *(("batch", rate, seed, reach) for rate, reach in ((0.1, 9), (0.3, 4)) for seed in (0, 1)),
        ("l1", 0.1, 0, 5),
    )
    plain = rates_table(frame, 0.9, window=1).plain
    cells = {line.split()[0]: line.split(" | ") for line in plain.splitlines()[1:]}
    assert "l1" not in plain.lower()
    assert cells["none"][1:] == ["0.1, 0.3", "0.1 (the lowest tried)", "21", "0.1"]
    assert cells["BatchNorm"][1:] == ["0.1, 0.3", "0.3 (the highest tried)", "5", "≥ 0.3"]


def test_a_best_rate_inside_the_sweep_is_not_marked() -> None:
    frame = _frame(*(("none", rate, 0, reach) for rate, reach in ((0.03, 30), (0.1, 9), (0.3, 20))))
    assert "| 0.1 | 10 |" in rates_table(frame, 0.9, window=1).plain


def test_no_rate_is_usable_or_there_is_one_rate() -> None:
    never = _frame(("none", 0.1, 0, 99), ("none", 0.3, 0, 30), ("none", 0.1, 1, 99), ("none", 0.3, 1, 99))
    assert "none in 1 of 2 seeds" in rates_table(never, 0.9, window=1).plain
    worse = _frame(("none", 0.1, 0, 99), ("none", 0.3, 0, 30))
    plain = rates_table(worse, 0.9, window=20).plain  # a mean over 20 steps that no run brings to 90 %
    assert "none of them" in plain
    assert "| none | – | none of them" in plain
    assert "no sweep" in rates_table(_frame(("none", 0.1, 0, 3)), 0.9, window=1).plain
