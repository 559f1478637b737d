"""The sentences of the projection ablation, on a study whose numbers are chosen."""

from tests.analysis.synthetic import Kind, study

from normlab.pages.projection import NOT_RUN, answer

ENDS = {
    ("none", 0.1): Kind(final=0.7, reach=1001.0),
    ("batch", 0.1): Kind(final=[0.90, 0.91, 0.92], reach=1001.0),
    ("batch_detached_mean", 0.1): Kind(final=[0.80, 0.81, 0.82], reach=1001.0),
    ("batch_detached_variance", 0.1): Kind(final=0.5, test=0.1, reach=1001.0, diverged_at=300, diverged_seed=1),
}


def test_what_each_part_costs_is_said_with_who_diverged() -> None:
    lines = answer(study(ENDS, seeds=3)).plain.splitlines()
    assert lines[0].startswith(
        "- Learning rate 0.1: BatchNorm ends at 91.0 % train accuracy; without μ's part of the backward pass "
        "-10.0 points [-10.0, -10.0], n = 3; without σ's part "  # nobody diverged, and no more is said of it
    )
    assert lines[0].count("diverged") == 1
    assert "n = 3 (undecided) (diverged in 1 of 3 seeds); without both not run; with the first batch's" in lines[0]
    assert lines[1].startswith("- At 0.1 it is undecided which of the two parts costs more: ")
    assert lines[2].endswith("μ detached at 0.1; σ detached at no rate.")


def test_without_a_network_of_the_ablation_nothing_is_said() -> None:
    cells = study({key: kind for key, kind in ENDS.items() if key[0] in ("none", "batch")}, seeds=3)
    assert answer(cells).plain == f"- {NOT_RUN}"
