import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study

PLAIN, BATCH = ("none", 0.1), ("batch", 0.1)


@pytest.mark.parametrize(
    ("move", "expected"),
    [(1.2, "supported"), (0.8, "supported"), (10.0, "refuted"), (0.1, "refuted"), (3.0, "inconclusive")],
)
def test_c3(move: float, expected: str) -> None:
    assert verdict("C3", study({PLAIN: Kind(move=move), BATCH: Kind(move=1.0)}))["verdict"] == expected


@pytest.mark.parametrize(
    ("move", "expected"),
    [(4.0, "supported"), (0.5, "refuted"), (1.5, "inconclusive"), ([0.5, 0.5, 4, 4, 4], "inconclusive")],
)
def test_c5(move: float | list[float], expected: str) -> None:
    cells = study({PLAIN: Kind(move=1.0), ("noisy_batch", 0.1): Kind(move=move)})
    assert verdict("C5", cells)["verdict"] == expected


@pytest.mark.parametrize(
    ("linf", "expected"), [(3.0, "supported"), (0.5, "refuted"), ([0.5, 2, 2, 2, 0.5], "inconclusive")]
)
def test_c17(linf: float | list[float], expected: str) -> None:
    lp = {("l1", 0.1): Kind(move=2.0), ("l2", 0.1): Kind(move=2.0), ("linf", 0.1): Kind(move=linf)}
    assert verdict("C17", study({PLAIN: Kind(), **lp}))["verdict"] == expected


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Kind(shift=2.0, cosine=0.8), "supported"),  # the ℓ2 alone is enough
        (Kind(shift=0.5, cosine=0.2), "supported"),  # so is the cosine
        (Kind(shift=0.5, cosine=0.8), "refuted"),
        (Kind(shift=[0.5, 0.5, 2, 2, 2], cosine=0.8), "inconclusive"),
    ],
)
def test_c7(batch: Kind, expected: str) -> None:
    assert verdict("C7", study({PLAIN: Kind(shift=1.0, cosine=0.5), BATCH: batch}))["verdict"] == expected


def test_c7_leaves_out_the_first_layer_and_step_0() -> None:
    entry = verdict("C7", study({PLAIN: Kind(shift=1.0), BATCH: Kind(shift=2.0, start=50.0)}))
    for name in ("l2", "l2_equal_steps"):  # 2 exactly: the first layer's 0/0 and the start would both move it
        assert part(entry, name)["estimate"] == pytest.approx(2.0, rel=1e-12)


def test_c7_reports_equal_loss_and_equal_steps() -> None:
    entry = verdict("C7", study({PLAIN: Kind(), BATCH: Kind(shift=2.0)}))
    assert [p["name"] for p in entry["parts"] if p["decides"]] == ["l2", "cosine"]
    assert part(entry, "relative_equal_steps")["estimate"] == pytest.approx(2.0, rel=1e-12)
