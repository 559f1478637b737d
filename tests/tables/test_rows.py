"""Rows and histograms collect what they are given, and go on from their state as if they had never stopped."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tests import tiny

from normlab.tables.rows import COLUMNS, Histograms, Rows

KEYS = tiny.run_spec().keys


def test_histograms_are_a_row_a_bin_and_survive_a_resume_point(tmp_path: Path) -> None:
    def add(histograms: Histograms, step: int) -> None:
        edges = np.array([-1.0, 1 / 3, 2.0]) * (step + 1)
        histograms.add(KEYS, "features.norm1", 4, step, edges, np.array([5.0, 0.1]))
        edges[:] = np.nan  # what was given may be written over

    whole, first, second = Histograms(), Histograms(), Histograms()
    add(whole, 0)
    add(first, 0)
    torch.save(first.state_dict(), tmp_path / "point.pt")
    second.load_state_dict(torch.load(tmp_path / "point.pt", weights_only=True))
    add(whole, 7)
    add(second, 7)
    pd.testing.assert_frame_equal(second.frame(), whole.frame(), check_exact=True)
    last = whole.frame().iloc[-1]
    assert (last["left"], last["right"], last["count"]) == (8 / 3, 16.0, 0.1)
    assert list(whole.frame().step) == [0, 0, 7, 7]


def test_rows_survive_a_resume_point() -> None:
    rows, after = Rows(KEYS), Rows(KEYS)
    rows.add("history", 3, {"loss": 0.1, "accuracy": float("nan")})
    after.load_state_dict(rows.state_dict())
    pd.testing.assert_frame_equal(after.frame(), rows.frame(), check_exact=True)
    assert tuple(rows.frame().columns) == COLUMNS


def test_who_reads_tables_does_not_wait_for_torch() -> None:
    """Pages and the analysis compute on tables alone; torch takes longer to import than they take together."""
    modules = ["normlab.stages.analyze", "normlab.stages.report", "normlab.stages.index", "normlab.stages.publish"]
    program = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
