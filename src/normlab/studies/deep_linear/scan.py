"""Which learning rates a deep linear network can use: short runs of many rates in one batch, losses only."""

import pandas as pd
import torch

from normlab.specs.dln import DlnCell, DlnScanSpec, DlnSpec
from normlab.studies.deep_linear.network import build_network
from normlab.studies.deep_linear.problem import draw_problem, draw_weights
from normlab.studies.deep_linear.rows import CellRows
from normlab.studies.deep_linear.study import Descent, descend, diverged_at


def scan_rates(spec: DlnSpec, scan: DlnScanSpec, norm_layer: str) -> pd.DataFrame:
    """Gradient descent at every rate of `scan` from the initial weights of `spec`'s seeds.

    Returns:
        Rows of study "dln_scan": `history` loss at every `loss_every`-th step and the last, and `summary` (steps,
        diverged_at, parameters) as in a cell of the study. Rates are separate runs that share a batched call.
    """
    problem = draw_problem(spec.seeds, spec.features, spec.samples)
    network = build_network(spec, norm_layer)
    rates = torch.tensor(scan.learning_rate, dtype=torch.float64)
    start = network.pack(draw_weights(spec.seeds, spec.depth, spec.features))[:, None].expand(-1, len(rates), -1)
    descent = Descent(start, scan.steps)
    descend(network, problem, descent, rates)
    losses = descent.losses
    steps = [*range(0, scan.steps, scan.loss_every), scan.steps]
    frames = []
    for index, rate in enumerate(scan.learning_rate):
        rows = CellRows(DlnCell(norm_layer, rate), spec.seeds, study="dln_scan")
        for step in steps:
            rows.add("history", step, {"loss": losses[step, :, index]})
        ones = torch.ones(len(spec.seeds), dtype=torch.float64)
        summary = {
            "steps": scan.steps * ones,
            "diverged_at": diverged_at(losses[:, :, index]),
            "parameters": network.n_params * ones,
        }
        rows.add("summary", scan.steps, summary)
        frames.append(rows.frame())
    return pd.concat(frames, ignore_index=True)
