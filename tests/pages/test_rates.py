"""The tables and picture of the learning-rate study on runs whose best and largest usable rates are known."""

import pandas as pd
from tests.analysis.synthetic import Kind, study

from normlab.analysis.cells import Cells
from normlab.pages.rates import ends_table, rates_table, sweep, sweep_picture

NEVER = Kind(final=0.1)


def with_short_runs(shared: Cells, short: Cells) -> Cells:
    """Both studies in one, the second of a variant."""
    others = short.measurements.assign(variant="steps=1000")
    both = pd.concat([shared.measurements, others], ignore_index=True).astype({"variant": "category"})
    return Cells(both, shared.theory, shared.spec)


def both_sweeps() -> Cells:
    """One rate with the shared settings, and three in shorter runs: the plain network is alive at the first."""
    shared = study({("none", 0.1): Kind(reach=2001), ("batch", 0.1): Kind(reach=901)}, seeds=2)
    ends = {("none", 0.1): [0.6, 0.1], ("none", 0.2): [0.1, 0.1], ("none", 0.4): [0.1, 0.1]}
    ends |= {("batch", rate): [0.7, 0.8] for rate in (0.1, 0.2, 0.4)}
    kinds = {cell: Kind(final=final) for cell, final in ends.items()}
    return with_short_runs(shared, study(kinds, seeds=2))


def test_best_and_largest_usable_rate() -> None:
    cells = study(
        {
            ("none", 0.1): Kind(reach=2001),
            ("none", 0.3): NEVER,
            ("batch", 0.1): Kind(reach=901),
            ("batch", 0.3): Kind(reach=401),
            ("l1", 0.1): Kind(reach=501),
        },
        seeds=2,
    )
    plain = rates_table(cells, 0.9).plain
    rows = [line.strip("| ").split(" | ") for line in plain.splitlines() if line.startswith("| ")]
    found = {name.split()[0]: values for name, *values in rows}
    assert "ℓ1" not in plain
    assert found["none"] == ["0.1, 0.3", "0.1 (the lowest tried)", "2,001", "0.1", "0.1"]
    assert found["BatchNorm"] == ["0.1, 0.3", "0.3 (the highest tried)", "401", "≥ 0.3", "≥ 0.3"]


def test_a_best_rate_inside_the_sweep_is_not_marked() -> None:
    cells = study(
        {("none", rate): Kind(reach=reach) for rate, reach in ((0.03, 3001), (0.1, 901), (0.3, 2001))}, seeds=1
    )
    assert "| 0.1 | 901 |" in rates_table(cells, 0.9).plain


def test_no_rate_is_usable_or_there_is_one_rate() -> None:
    some = study({("none", 0.1): NEVER, ("none", 0.3): Kind(reach=3001, final=[1.0, 0.1])}, seeds=2)
    assert "none in 1 of 2 seeds" in rates_table(some, 0.9).plain
    never = study({("none", 0.1): NEVER, ("none", 0.3): NEVER}, seeds=1)
    assert "| none | – | none of them, in any seed" in rates_table(never, 0.9).plain
    assert "no sweep" in rates_table(study({("none", 0.1): Kind(reach=301)}, seeds=1), 0.9).plain


def test_the_sweep_is_that_of_the_settings_with_the_most_rates() -> None:
    swept = sweep(both_sweeps())
    assert swept.variant == "steps=1000"
    assert [cell.learning_rate for cell in swept.rates("none")] == [0.1, 0.2, 0.4]
    one_rate = study({("none", 0.1): NEVER, ("batch", 0.1): NEVER}, seeds=1)
    assert sweep(one_rate).variant == ""


def test_a_network_that_lives_without_reaching_the_accuracy_has_a_largest_rate() -> None:
    found = rates_table(both_sweeps(), 0.9).plain
    assert "none of them, in any seed | 0.1 (none in 1 of 2 seeds) |" in found
    assert "none of them, in any seed | ≥ 0.4 |" in found
    assert "Settings of these runs: steps=1000." in found
    assert "Settings" not in rates_table(study({("none", 0.1): NEVER, ("none", 0.3): NEVER}, seeds=1), 0.9).plain


def test_the_ends_have_a_column_a_rate_and_the_picture_both_networks() -> None:
    swept = sweep(both_sweeps())
    lines = ends_table(swept).plain.splitlines()
    assert lines[0] == "|  | 0.1 | 0.2 | 0.4 |"
    assert lines[2] == "| none (plain) | 35 [10 – 60] | 10 | 10 |"
    assert lines[3] == "| BatchNorm | 75 [70 – 80] | 75 [70 – 80] | 75 [70 – 80] |"
    picture = sweep_picture(swept)
    assert picture.drawn
    drawn = {line.get_gid() for line in picture.figure.axes[0].lines}
    assert "alive" in drawn
    assert "steps=1000" in picture.caption


def test_without_a_sweep_of_both_nothing_is_drawn() -> None:
    swept = sweep(study({("none", 0.1): NEVER, ("none", 0.3): NEVER, ("batch", 0.1): NEVER}, seeds=1))
    assert ends_table(swept).plain == ""
    assert not sweep_picture(swept).drawn
