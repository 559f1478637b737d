"""The table of the learning-rate study on runs whose best and largest usable rates are known."""

from tests.analysis.synthetic import Kind, study

from normlab.pages.rates import rates_table

NEVER = Kind(final=0.1)


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
    assert found["none"] == ["0.1, 0.3", "0.1 (the lowest tried)", "2,001", "0.1"]
    assert found["BatchNorm"] == ["0.1, 0.3", "0.3 (the highest tried)", "401", "≥ 0.3"]


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
