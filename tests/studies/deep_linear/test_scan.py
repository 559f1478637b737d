"""Every row of a scan of learning rates, against descent sample by sample."""

import dataclasses
import math
from typing import Any

import pytest
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.test_study import SPEC
from tests.studies.deep_linear.twin import descent

from normlab.specs.dln import DlnScanSpec
from normlab.studies.deep_linear.scan import scan_rates

RATES = (1e-3, 1e6, 1e-4)
SEEDS = (7, 2)


@pytest.mark.parametrize(("every", "kept"), [(2, [0, 2, 4, 5]), (5, [0, 5]), (9, [0, 5])])
def test_every_row_of_a_scan(every: int, kept: list[int]) -> None:
    spec = dataclasses.replace(SPEC, seeds=SEEDS)
    scan = DlnScanSpec(norm_layer=("none", "batch"), learning_rate=RATES, steps=5, loss_every=every)
    frame = scan_rates(spec, scan, "batch")
    network = build_instance("batch", depth=3).network
    found = [
        (r.study, r.norm_layer, r.learning_rate, r.variant, r.seed, r.probe, r.step, r.quantity, r.value)
        for r in frame.itertuples()
    ]
    expected: list[tuple[Any, ...]] = []
    for rate in RATES:
        for seed in SEEDS:
            losses = descent(network, seed, 6, rate)
            key = ("dln_scan", "batch", rate, "", seed)
            broken = [step for step, loss in enumerate(losses) if not math.isfinite(loss)]
            expected += [(*key, "history", step, "loss", losses[step]) for step in kept]
            expected.append((*key, "summary", 5, "steps", 5.0))
            expected.append((*key, "summary", 5, "diverged_at", broken[0] if broken else math.nan))
            expected.append((*key, "summary", 5, "parameters", 3 * 9 + 2 * 2 * 3))
    assert [row[:-1] for row in found] == [row[:-1] for row in expected]
    # five steps of a smooth descent amplify roundoff little
    for row, wanted in zip(found, expected, strict=True):
        if math.isfinite(wanted[-1]):
            assert row[-1] == pytest.approx(wanted[-1], rel=1e-9), row
        else:  # whether it is inf or NaN after an overflow depends on the order of sums
            assert not math.isfinite(row[-1]), row


def test_a_rate_at_which_the_plain_network_diverges_says_when() -> None:
    spec = dataclasses.replace(SPEC, seeds=SEEDS)
    scan = DlnScanSpec(norm_layer=("none",), learning_rate=(1e-3, 1e3), steps=8, loss_every=8)
    frame = scan_rates(spec, scan, "none")
    said = frame[frame["quantity"] == "diverged_at"]
    assert said["learning_rate"].tolist() == [1e-3, 1e-3, 1e3, 1e3]
    network = build_instance("none", depth=3).network
    for seed, value in zip(said["seed"][2:], said["value"][2:], strict=True):
        losses = descent(network, seed, 9, 1e3)
        assert value == next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    assert said["value"].isna().tolist() == [True, True, False, False]
