"""Every statement on random numbers: how often the printed and the corrected form hold."""

import math

import pandas as pd
import torch
from torch import Generator, Tensor

from normlab.seeding import generator
from normlab.specs.theory import TheorySpec
from normlab.studies.statements.table import Tally, build_table
from normlab.theory import (
    Statement,
    lemma_4_5,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)


def measure_random_cases(spec: TheorySpec) -> pd.DataFrame:
    """Check every statement on `spec.cases` random cases for each size m and seed.

    A case has outputs y ~ N(a, b^2) with random a and b, a gradient g with a random part along y, gamma log-normal
    around 1 (above and below sigma), a Hessian that is positive semi-definite in one half of the cases and indefinite
    in the other, and a radius lam log-normal around 1.

    Returns:
        A table of `normlab.studies.statements.table`. Quantities of every statement: `holds_printed`,
        `holds_corrected`, and the largest `relative_error` of the corrected equality; some statements have more.
    """
    rows = []
    for samples in spec.samples:
        for seed in spec.seeds:
            draws = generator(seed, "theory", samples)
            tally = Tally()
            for case in range(spec.cases):
                _measure_case(tally, samples, case % 2 == 0, draws)
            keys = {"source": "random", **dict.fromkeys(("network", "norm_layer", "variant"), ""), "seed": seed}
            keys["learning_rate"] = math.nan
            rows += [{**keys, "step": 0, "layer": "", "samples": samples, **row} for row in tally.rows()]
    return build_table(rows)


def _measure_case(tally: Tally, m: int, definite: bool, draws: Generator) -> None:
    center, width, gamma, lam = _normal(draws, 4).exp().tolist()
    y = width * _normal(draws, m) + center
    g = _normal(draws, m) + _normal(draws, 1) * (y - y.mean()) / width
    root = _normal(draws, m, m)
    hessian = root @ root.T / m if definite else (root + root.T) / 2
    _measure_gradient(tally, y, g, gamma, lam)
    _measure_curvature(tally, y, g, hessian, gamma, lam)
    _measure_optima(tally, m, g, draws)


def _measure_gradient(tally: Tally, y: Tensor, g: Tensor, gamma: float, lam: float) -> None:
    first = theorem_4_1(y, g, gamma)
    _add(tally, "theorem_4_1", first)
    shrinks = {"v_at_most_g": first.lhs <= torch.dot(g, g).item()}
    small = first.assumptions["gamma_at_most_sigma"]
    tally.share("theorem_4_1", {"gamma_at_most_sigma": small, **shrinks})
    tally.share("theorem_4_1", {"v_at_most_g_if_gamma_at_most_sigma": shrinks["v_at_most_g"]}, given=small)
    fourth = theorem_4_4(y, g, gamma, lam)
    _add(tally, "theorem_4_4", fourth)
    as_norm = fourth.lhs <= fourth.rhs_printed_as_norm * (1 + 1e-9)
    tally.share("theorem_4_4", {"holds_printed_as_norm": as_norm})


def _measure_curvature(tally: Tally, y: Tensor, g: Tensor, hessian: Tensor, gamma: float, lam: float) -> None:
    second = theorem_4_2(y, g, hessian, gamma)
    _add(tally, "theorem_4_2", second)
    tally.share("theorem_4_2", {"part_b_holds": second.part_b_holds})
    rayleigh = second.assumptions["rayleigh_condition"]
    tally.share("theorem_4_2", {"part_b_holds_if_rayleigh": second.part_b_holds}, given=rayleigh)
    tally.share("theorem_4_2", {"part_b_holds_if_all_conditions": second.part_b_holds}, given=second.part_b_assumptions)
    last = theorem_c_1(y, g, hessian, gamma, lam)
    _add(tally, "theorem_c_1", last)
    tally.share("theorem_c_1", {"counterexample_exists": last.counterexample is not None})
    tally.share("theorem_c_1", {"holds_with_true_maxima": last.holds_with_true_maxima})
    if last.lhs > 0 and last.counterexample is not None:
        tally.number("theorem_c_1", "counterexample_ratio", last.counterexample_value / last.lhs)
        tally.number("theorem_c_1", "largest_counterexample_ratio", last.counterexample_value / last.lhs, "max")


def _measure_optima(tally: Tally, m: int, g: Tensor, draws: Generator) -> None:
    inputs = m // 2 + 1
    X, w, w_star = _normal(draws, m, inputs), _normal(draws, inputs), _normal(draws, inputs)
    _add(tally, "observation_4_3", observation_4_3(X, w, g))
    X[:, 0] = 1.0
    biased = observation_4_3(X, w, g)  # both sides are 0 here: no relative error
    verdicts = {"holds_printed": biased.holds_printed, "holds_corrected": biased.holds_corrected}
    tally.share("observation_4_3_bias", verdicts)
    lemma = lemma_4_5(w, w_star)
    condition = lemma.assumptions["positive_inner_product"]
    tally.share("lemma_4_5", {"holds_printed": lemma.holds_printed}, given=condition)
    tally.share("lemma_4_5", {"holds_printed_without_condition": lemma.holds_printed}, given=not condition)
    tally.share("lemma_4_5", {"holds_corrected": lemma.holds_corrected})
    tally.number("lemma_4_5", "relative_error", _relative_error(lemma), "max")


def _add(tally: Tally, statement: str, result: Statement) -> None:
    tally.share(statement, {"holds_printed": result.holds_printed, "holds_corrected": result.holds_corrected})
    tally.number(statement, "relative_error", _relative_error(result), "max")


def _relative_error(result: Statement) -> float:
    """|lhs - rhs_corrected| relative to the larger of the two."""
    size = max(abs(result.lhs), abs(result.rhs_corrected))
    return abs(result.lhs - result.rhs_corrected) / size if size else 0.0


def _normal(draws: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=draws)
