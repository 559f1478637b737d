"""Claims about the paper's statements (paper §4, App. C): on random numbers, and on tensors of trained networks.

The study writes shares of cases by seed. A statement about all numbers is refuted by one counterexample, so its
number is the largest share of failures of any seed, without an interval; how often an assumption is true in
training is a share by seed like any other quantity.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import SHARE, PerSeed, exact, worst
from normlab.analysis.parts import Parts
from normlab.analysis.shares import failures, shares


def theorem_4_1(cells: Cells) -> Parts:
    """C18: as printed, and with the corrected coefficient; on trained tensors, too."""
    return {
        "printed": lambda: failures(cells, "theorem_4_1", "holds_printed"),
        "corrected": lambda: failures(cells, "theorem_4_1", "holds_corrected"),
        "lipschitz": lambda: failures(cells, "theorem_4_1", "v_at_most_g_if_gamma_at_most_sigma"),
        "corrected_error": lambda: worst(shares(cells, "random", "theorem_4_1", "relative_error", "value")),
        "printed_trained": lambda: failures(cells, "theorem_4_1", "holds_printed", "checkpoint"),
        "corrected_trained": lambda: failures(cells, "theorem_4_1", "holds_corrected", "checkpoint"),
    }


def theorem_4_2(cells: Cells) -> Parts:
    """C19: part (a); part (b) under the condition that is printed, and under all that it needs; how often these
    hold."""

    def trained(quantity: str) -> PerSeed:
        return exact(shares(cells, "checkpoint", "theorem_4_2", quantity), SHARE)

    return {
        "b_printed": lambda: failures(cells, "theorem_4_2", "part_b_holds_if_rayleigh"),
        "a": lambda: failures(cells, "theorem_4_2", "holds_corrected"),
        "b_all_conditions": lambda: failures(cells, "theorem_4_2", "part_b_holds_if_all_conditions"),
        "a_error": lambda: worst(shares(cells, "random", "theorem_4_2", "relative_error", "value")),
        "rayleigh_trained": lambda: trained("rayleigh_condition"),
        "conditions_trained": lambda: trained("part_b_assumptions"),
        "b_trained": lambda: trained("part_b_holds"),
        "less_curved_trained": lambda: trained("less_curved"),
    }


def theorem_4_4_and_c_1(cells: Cells) -> Parts:
    """C20: Theorem 4.4 as printed and corrected; the step of Theorem C.1 that takes the maximum."""
    return {
        "printed": lambda: failures(cells, "theorem_4_4", "holds_printed"),
        "printed_as_norm": lambda: failures(cells, "theorem_4_4", "holds_printed_as_norm"),
        "corrected": lambda: failures(cells, "theorem_4_4", "holds_corrected"),
        "c_1_maximum": lambda: worst(shares(cells, "random", "theorem_c_1", "counterexample_exists")),
        "c_1_fixed": lambda: failures(cells, "theorem_c_1", "holds_corrected"),
        "c_1_ratio": lambda: worst(shares(cells, "random", "theorem_c_1", "largest_counterexample_ratio", "value")),
    }


def observation_4_3_and_lemma_4_5(cells: Cells) -> Parts:
    """C21: the same function; are minima preserved without and with a bias column; the distance to the optimum."""
    return {
        "minima": lambda: failures(cells, "observation_4_3", "holds_printed"),
        "minima_with_bias": lambda: failures(cells, "observation_4_3_bias", "holds_printed"),
        "identity": lambda: failures(cells, "observation_4_3", "holds_corrected"),
        "lemma": lambda: failures(cells, "lemma_4_5", "holds_printed"),
        "lemma_identity": lambda: failures(cells, "lemma_4_5", "holds_corrected"),
        "lemma_without_condition": lambda: failures(cells, "lemma_4_5", "holds_printed_without_condition"),
    }


def assumptions_hold(cells: Cells) -> Parts:
    """C22: shares of (layer, unit, step) of trained networks in which an assumption is true.

    ⟨g, ŷ⟩ = ∂L/∂γ: once γ is near a stationary point it is positive about as often as not, whatever the network. So it
    takes no part in the deciding number, and is shown as well at step 0, where γ has not been trained.
    """
    quantities = {
        "curvature": ("theorem_4_2", "curvature_v_nonnegative"),
        "gamma": ("theorem_4_1", "gamma_at_most_sigma"),
        "weights": ("theorem_4_4", "weight_gradient_bound"),
        "overlap": ("theorem_4_2", "overlap_positive"),
        "weights_with_bias": ("theorem_4_4", "weight_gradient_bound_with_bias"),
        "gradient_shrinks": ("theorem_4_1", "v_at_most_g"),
        "usable": ("units", "usable"),
    }

    def trained(statement: str, quantity: str) -> PerSeed:
        return exact(shares(cells, "checkpoint", statement, quantity), SHARE)

    def weakest() -> PerSeed:
        found = {name: trained(*quantities[name]).values["value"] for name in ("curvature", "gamma", "weights")}
        return exact(pd.DataFrame(found).min(axis=1, skipna=False), SHARE)

    def overlap_at_start() -> PerSeed:
        start = cells.theory[cells.theory["step"] == 0] if "step" in cells.theory else cells.theory
        return exact(shares(replace(cells, theory=start), "checkpoint", *quantities["overlap"]), SHARE)

    parts: dict[str, Callable[[], PerSeed]] = {"weakest": weakest, "overlap_at_start": overlap_at_start}
    return {**parts, **{name: partial(trained, *found) for name, found in quantities.items()}}
