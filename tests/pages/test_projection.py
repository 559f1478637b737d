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
    assert lines[0].startswith("- Which of the two parts costs more train accuracy")
    assert "by learning rate: undecided at 0.1, +" in lines[0]
    assert lines[0].endswith("n = 3 for σ's.")
    assert lines[1].startswith(
        "- Learning rate 0.1: BatchNorm ends at 91.0 % train accuracy; without μ's part of the backward pass "
        "-10.0 points [-10.0, -10.0], n = 3; without σ's part "  # nobody diverged, and no more is said of it
    )
    assert lines[1].count("diverged") == 1
    assert "n = 3 (undecided) (diverged in 1 of 3 seeds); without both not run; with the first batch's" in lines[1]
    assert lines[2].endswith("μ detached at 0.1; σ detached at no rate.")


def test_without_a_network_of_the_ablation_nothing_is_said() -> None:
    cells = study({key: kind for key, kind in ENDS.items() if key[0] in ("none", "batch")}, seeds=3)
    assert answer(cells).plain == f"- {NOT_RUN}"


def test_the_dearer_part_is_said_rate_by_rate() -> None:
    cheap, dear = Kind(final=[0.80, 0.81, 0.82]), Kind(final=[0.40, 0.42, 0.41])
    kinds = {("batch", rate): ENDS["batch", 0.1] for rate in (0.03, 0.1, 0.3)}
    kinds |= {("batch_detached_mean", 0.03): dear, ("batch_detached_variance", 0.03): cheap}
    kinds |= {("batch_detached_mean", 0.1): cheap, ("batch_detached_variance", 0.1): dear}
    kinds |= {("batch_detached_mean", 0.3): cheap}  # the other was not run: nothing to compare
    said = answer(study(kinds, seeds=3)).plain.splitlines()[0]
    at_small, at_large = said.partition("rate: ")[2].split("; ")
    assert at_small.startswith("μ's at 0.03, by +40.0 points [+3")
    assert at_large.startswith("σ's at 0.1, by +40.0 points [+3")
    assert at_large.endswith("n = 3.")


def test_equal_parts_and_a_single_seed_name_no_dearer_part() -> None:
    same = Kind(final=0.1)
    kinds = {
        ("batch", 0.1): ENDS["batch", 0.1],
        ("batch_detached_mean", 0.1): same,
        ("batch_detached_variance", 0.1): same,
    }
    assert "by learning rate: undecided at 0.1, +0.0 points" in answer(study(kinds, seeds=3)).plain.splitlines()[0]
    kinds["batch_detached_mean", 0.1] = Kind(final=0.8)
    assert (
        answer(study(kinds, seeds=1))
        .plain.splitlines()[0]
        .endswith("undecided at 0.1, +70.0 points, one seed for σ's.")
    )
