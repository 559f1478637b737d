"""Every part of the claims about the theory, and the shares of all cases, from a table of random counts, by loops."""

import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.rules import load_claims
from normlab.analysis.shares import shares_of_all
from normlab.studies.statements.table import COLUMNS

SEEDS = (0, 1, 2)
RANDOM = {
    "theorem_4_1": ("holds_printed", "holds_corrected", "v_at_most_g_if_gamma_at_most_sigma", "relative_error"),
    "theorem_4_2": ("holds_corrected", "part_b_holds_if_rayleigh", "part_b_holds_if_all_conditions", "relative_error"),
    "theorem_4_4": ("holds_printed", "holds_printed_as_norm", "holds_corrected"),
    "theorem_c_1": ("counterexample_exists", "holds_corrected", "largest_counterexample_ratio"),
    "observation_4_3": ("holds_printed", "holds_corrected"),
    "observation_4_3_bias": ("holds_printed",),
    "lemma_4_5": ("holds_printed", "holds_corrected", "holds_printed_without_condition"),
}
TRAINED = {
    "theorem_4_1": ("holds_printed", "holds_corrected", "gamma_at_most_sigma", "v_at_most_g"),
    "theorem_4_2": (
        "overlap_positive", "curvature_v_nonnegative", "rayleigh_condition", "part_b_assumptions", "part_b_holds",
        "less_curved",
    ),
    "theorem_4_4": ("weight_gradient_bound", "weight_gradient_bound_with_bias"),
    "units": ("usable",),
}  # fmt: skip
NUMBERS = ("relative_error", "largest_counterexample_ratio")
Part = tuple[str, str, str, str]  # how: failures, share or largest; source; statement; quantity
PARTS: dict[str, dict[str, Part]] = {
    "C18": {
        "printed": ("failures", "random", "theorem_4_1", "holds_printed"),
        "corrected": ("failures", "random", "theorem_4_1", "holds_corrected"),
        "lipschitz": ("failures", "random", "theorem_4_1", "v_at_most_g_if_gamma_at_most_sigma"),
        "corrected_error": ("largest", "random", "theorem_4_1", "relative_error"),
        "printed_trained": ("failures", "checkpoint", "theorem_4_1", "holds_printed"),
        "corrected_trained": ("failures", "checkpoint", "theorem_4_1", "holds_corrected"),
    },
    "C19": {
        "b_printed": ("failures", "random", "theorem_4_2", "part_b_holds_if_rayleigh"),
        "a": ("failures", "random", "theorem_4_2", "holds_corrected"),
        "b_all_conditions": ("failures", "random", "theorem_4_2", "part_b_holds_if_all_conditions"),
        "a_error": ("largest", "random", "theorem_4_2", "relative_error"),
        "rayleigh_trained": ("share", "checkpoint", "theorem_4_2", "rayleigh_condition"),
        "conditions_trained": ("share", "checkpoint", "theorem_4_2", "part_b_assumptions"),
        "b_trained": ("share", "checkpoint", "theorem_4_2", "part_b_holds"),
        "less_curved_trained": ("share", "checkpoint", "theorem_4_2", "less_curved"),
    },
    "C20": {
        "printed": ("failures", "random", "theorem_4_4", "holds_printed"),
        "printed_as_norm": ("failures", "random", "theorem_4_4", "holds_printed_as_norm"),
        "corrected": ("failures", "random", "theorem_4_4", "holds_corrected"),
        "c_1_maximum": ("share", "random", "theorem_c_1", "counterexample_exists"),
        "c_1_fixed": ("failures", "random", "theorem_c_1", "holds_corrected"),
        "c_1_ratio": ("largest", "random", "theorem_c_1", "largest_counterexample_ratio"),
    },
    "C21": {
        "minima": ("failures", "random", "observation_4_3", "holds_printed"),
        "minima_with_bias": ("failures", "random", "observation_4_3_bias", "holds_printed"),
        "identity": ("failures", "random", "observation_4_3", "holds_corrected"),
        "lemma": ("failures", "random", "lemma_4_5", "holds_printed"),
        "lemma_identity": ("failures", "random", "lemma_4_5", "holds_corrected"),
        "lemma_without_condition": ("failures", "random", "lemma_4_5", "holds_printed_without_condition"),
    },
    "C22": {
        "curvature": ("share", "checkpoint", "theorem_4_2", "curvature_v_nonnegative"),
        "gamma": ("share", "checkpoint", "theorem_4_1", "gamma_at_most_sigma"),
        "weights": ("share", "checkpoint", "theorem_4_4", "weight_gradient_bound"),
        "overlap": ("share", "checkpoint", "theorem_4_2", "overlap_positive"),
        "weights_with_bias": ("share", "checkpoint", "theorem_4_4", "weight_gradient_bound_with_bias"),
        "gradient_shrinks": ("share", "checkpoint", "theorem_4_1", "v_at_most_g"),
        "usable": ("share", "checkpoint", "units", "usable"),
    },
}


@cache
def rows() -> list[dict[str, Any]]:
    """Two sizes or steps of every quantity and seed, one of a quantity whose cases never met its condition, and the
    same of a network and of a rate that no claim is about."""
    draws, found = np.random.default_rng(3), []
    kinds = [
        ("random", "", math.nan),
        ("checkpoint", "vgg11", 0.1),
        ("checkpoint", "vgg16", 0.1),
        ("checkpoint", "vgg11", 0.5),
    ]
    for source, network, rate in kinds:
        for statement, quantities in (RANDOM if source == "random" else TRAINED).items():
            for quantity, seed, number in itertools.product(quantities, SEEDS, range(3)):
                of_numbers, count = quantity in NUMBERS, 0 if number == 2 else int(draws.integers(1, 60))
                keys = {
                    "source": source,
                    "network": network,
                    "norm_layer": "batch" if network else "",
                    "learning_rate": rate,
                }
                keys |= {"variant": "", "seed": seed, "layer": "", "samples": 16 * (number + 1)}
                keys |= {
                    "step": 100 * number if source == "checkpoint" else 0,
                    "statement": statement,
                    "quantity": quantity,
                }
                fraction = math.nan if of_numbers or not count else int(draws.integers(0, count + 1)) / count
                value = float(draws.uniform(1, 9)) if of_numbers and count else math.nan
                found.append({**keys, "count": count, "fraction": fraction, "value": value})
    return found


def cells() -> Cells:
    return Cells(pd.DataFrame(), pd.DataFrame(rows(), columns=list(COLUMNS)), SPEC)


def cases(
    source: str, statement: str, quantity: str, seed: int, steps: tuple[int, ...] = (0, 100)
) -> list[dict[str, Any]]:
    return [
        row
        for row in rows()
        if (row["source"], row["statement"], row["quantity"], row["seed"]) == (source, statement, quantity, seed)
        and (source == "random" or (row["network"], row["learning_rate"]) == ("vgg11", 0.1))
        and row["count"]
        and row["step"] in steps
    ]


def share(source: str, statement: str, quantity: str, seed: int, steps: tuple[int, ...] = (0, 100)) -> float:
    found = cases(source, statement, quantity, seed, steps)
    return sum(round(row["fraction"] * row["count"]) for row in found) / sum(row["count"] for row in found)


def number(part: Part, seed: int) -> float:
    how, *where = part
    if how == "largest":
        return max(row["value"] for row in cases(*where, seed))
    return 1 - share(*where, seed) if how == "failures" else share(*where, seed)


@pytest.mark.parametrize("claim", PARTS)
def test_every_part_is_the_share_that_its_words_say(claim: str) -> None:
    settings = next(one.settings for one in load_claims() if one.id == claim)
    parts = FUNCTIONS[claim](cells(), **settings)
    wanted: dict[str, Callable[[int], float]] = {
        name: lambda seed, part=part: number(part, seed) for name, part in PARTS[claim].items()
    }  # type: ignore[misc]
    if claim == "C22":
        rarest = [PARTS[claim][name] for name in ("curvature", "gamma", "weights")]
        wanted["weakest"] = lambda seed: min(number(part, seed) for part in rarest)
        wanted["overlap_at_start"] = lambda seed: share("checkpoint", "theorem_4_2", "overlap_positive", seed, (0,))
    assert set(parts) == set(wanted)
    for name, of_seed in wanted.items():
        found = parts[name]()
        decides = name in PARTS[claim] and (PARTS[claim][name][0] != "share" or name == "c_1_maximum")
        assert (found.kind == "worst") == decides, name  # one counterexample refutes
        assert found.values["value"].tolist() == pytest.approx([of_seed(seed) for seed in SEEDS], rel=1e-12), name


def test_the_shares_of_all_cases() -> None:
    for source, statements in (("random", RANDOM), ("checkpoint", TRAINED)):
        table = shares_of_all(cells(), source).set_index(["statement", "quantity", "step"])
        wanted = {}
        for statement, quantities in statements.items():
            for quantity in quantities:
                for step in (0, 100) if source == "checkpoint" else (0,):
                    found = [row for seed in SEEDS for row in cases(source, statement, quantity, seed, (step,))]
                    if quantity not in NUMBERS:
                        wanted[statement, quantity, step] = found
        assert set(table.index) == set(wanted)
        for key, found in wanted.items():
            counted = sum(row["count"] for row in found)
            true = sum(round(row["fraction"] * row["count"]) for row in found)
            fractions = [row["fraction"] for row in found]
            numbers = [counted, counted - true, true / counted, min(fractions), max(fractions)]
            assert table.loc[key, ["cases", "failures", "share", "low", "high"]].tolist() == pytest.approx(
                numbers, rel=1e-12, abs=1e-9
            )
