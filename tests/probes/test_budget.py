"""Whom a budget lets run: all of its probes, each as often as its part of the share allows."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from normlab.probes.budget import Budget


def steps_run(
    costs: dict[str, float],
    steps: int = 20_000,
    share: float = 0.2,
    due: Callable[[str, int], bool] = lambda name, step: True,
) -> dict[str, list[int]]:
    """At which steps of 4 seconds each probe ran; what is owed never exceeds the costs of the first runs."""
    now = 0.0
    budget = Budget(share, clock=lambda: now)
    runs: dict[str, list[int]] = {name: [] for name in costs}
    spent = 0.0
    for step in range(steps):
        for name in budget.affordable([name for name in costs if due(name, step)]):
            with budget.spending(name):
                now += costs[name]
            runs[name].append(step)
            spent += costs[name]
            assert spent <= share * step * 4.0 + max(costs.values())
        now += 4.0
    return runs


def test_no_probe_waits_for_ever_and_all_have_equal_parts() -> None:
    runs = steps_run({"cheap": 1.0, "dear": 20.0})
    allowed = 0.2 * 4.0 * 20_000
    assert len(runs["cheap"]) * 1.0 == pytest.approx(allowed / 2, rel=0.01)
    assert len(runs["dear"]) * 20.0 == pytest.approx(allowed / 2, rel=0.01)
    later = [b - a for a, b in pairwise(runs["dear"])][1:]  # before, the first run is paid off
    assert max(later) <= 53  # 20 seconds at 0.4 a step are 50 steps
    four = steps_run({"a": 1.0, "b": 3.0, "c": 20.0, "d": 100.0})
    assert [len(four[name]) * cost for name, cost in (("a", 1), ("b", 3), ("c", 20), ("d", 100))] == pytest.approx(
        [allowed / 4] * 4, rel=0.03
    )


def test_what_is_saved_for_a_probe_is_there_when_it_is_due() -> None:
    seldom = steps_run({"cheap": 1.0, "dear": 20.0}, due=lambda name, step: name == "cheap" or step % 100 == 0)
    assert len(seldom["dear"]) >= 198  # of 200 times
    assert len(seldom["cheap"]) == pytest.approx(0.2 * 4.0 * 20_000 - 200 * 20.0, rel=0.01)  # all the rest


def test_what_a_probe_has_no_use_for_goes_to_the_others_and_is_not_claimed_later() -> None:
    late = steps_run({"cheap": 1.0, "dear": 20.0}, due=lambda name, step: name == "cheap" or step >= 10_000)
    before = [step for step in late["cheap"] if step < 10_000]
    after = [step for step in late["cheap"] if step >= 10_100]
    assert len(before) == pytest.approx(0.8 * 10_000, rel=0.01)
    assert len(after) == pytest.approx(0.4 * 9_900, rel=0.01)
    assert max(b - a for a, b in pairwise(after)) <= 3
    once = steps_run({"cheap": 1.0, "first": 20.0}, due=lambda name, step: name == "cheap" or step == 30)
    assert len(once["first"]) == 1
    assert len(once["cheap"]) == pytest.approx(0.8 * 20_000 - 20 - 20, rel=0.01)  # what it took, and what is saved
