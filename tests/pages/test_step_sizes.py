"""The table of step sizes: where the interval of a ratio leaves out 1, and on which side."""

from tests.pages.study import claim

from normlab.pages.step_sizes import step_sizes

RULE = {"min_seeds": 3, "settings": {"steps": [100, 6000]}}


def part(size: str, low: float | None, high: float | None, seeds: int = 3, note: str = "") -> dict:
    return {"name": f"at_{size}", "estimate": 1.5, "interval": [low, high], "n_seeds": seeds, "note": note}


def test_each_step_size_has_its_side() -> None:
    changes = [part("0.25", 0.2, 0.9), part("1", 0.9, 1.1), part("4", 1.2, None, note="high end is infinite")]
    other = {"name": "peak", "estimate": 9.0, "interval": [8.0, 9.0], "n_seeds": 3, "note": ""}
    beta = [part("0.25", 1.2, 1.4), part("1", 0.2, 0.9), part("4", None, None, seeds=1)]
    lines = step_sizes(
        [
            claim(10, "02-landscape", "-", rule=RULE, parts=[*changes, other]),
            claim(11, "02-landscape", "-", rule=RULE, parts=beta),
        ],
        "README.md",
    )
    assert [line.replace("\u00a0", " ") for line in lines[2].splitlines()] == [
        "|  | 0.25 × the learning rate | 1 × the learning rate | 4 × the learning rate |",
        "|---|---|---|---|",
        "| gradient change, none/batch ([C10](README.md#c10)) | 1.5 [0.2, 0.9], n = 3: **rougher** "
        "| 1.5 [0.9, 1.1], n = 3: **open** | 1.5 [1.2, ∞], n = 3: **smoother** |",
        "| effective β, batch/none ([C11](README.md#c11)) | 1.5 [1.2, 1.4], n = 3: **rougher** "
        "| 1.5 [0.2, 0.9], n = 3: **smoother** | – |",
    ]
    assert "over steps 100 to 6,000 of training" in lines[4]


def test_too_few_seeds_and_first_rules_have_no_row() -> None:
    few = claim(10, "02-landscape", "-", rule=RULE, parts=[part("1", 0.1, 0.2, seeds=2)])
    old = {"id": "C11", "parts": [part("1", 0.1, 0.2)]}
    assert step_sizes([few, old], "") == step_sizes([], "") == []
