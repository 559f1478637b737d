"""Many seeds with few numbers each: the same descent as the full study, and a chunk can be put away anywhere."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.test_study import RATE, SPEC
from tests.studies.deep_linear.twin import descent

from normlab.runs.resume import ResumePoints
from normlab.specs.dln import DlnCell
from normlab.specs.lottery import LotteryBlock, lottery_cells
from normlab.specs.parts import names
from normlab.specs.strict import InputError
from normlab.studies.deep_linear import lottery
from normlab.studies.deep_linear.lottery import Lottery, escape_ranks, loss_steps, summarize
from normlab.studies.deep_linear.study import run_cell
from normlab.tables.rows import COLUMNS


def played(norm_layer: str, seeds: tuple[int, ...] = (0, 7)) -> pd.DataFrame:
    found = Lottery(SPEC, DlnCell(norm_layer, RATE), seeds)
    found.run()
    return found.frame()


def values(frame: pd.DataFrame, probe: str, quantity: str, seed: int) -> pd.Series:
    rows = frame[(frame["probe"] == probe) & (frame["quantity"] == quantity) & (frame["seed"] == seed)]
    return rows[rows["step_size"].isna()].set_index("step")["value"]


@pytest.mark.parametrize("norm_layer", names("scale"))
def test_losses_and_betas_are_those_of_the_full_study(norm_layer: str) -> None:
    few, (full, _) = played(norm_layer), run_cell(SPEC, DlnCell(norm_layer, RATE))
    assert tuple(few.columns) == COLUMNS
    assert set(few["study"]) == {"dln_lottery"}
    for seed in SPEC.seeds:
        pd.testing.assert_series_equal(values(few, "history", "loss", seed), values(full, "history", "loss", seed))
        betas = values(full, "landscape", "effective_beta", seed)
        scalars = few[(few["probe"] == "lottery") & (few["seed"] == seed)].set_index("quantity")["value"]
        assert scalars["start_beta"] == betas.iloc[0]
        assert scalars["peak_beta"] == betas.max()
        assert scalars["peak_beta_step"] == betas.idxmax()
        assert scalars["late_beta"] == sorted(betas[betas.index > 0.7 * SPEC.steps])[(sum(betas.index > 5.6) - 1) // 2]


@pytest.mark.parametrize("norm_layer", names("scale"))
def test_losses_are_those_of_descent_sample_by_sample(norm_layer: str) -> None:
    """None, batch and l2 from moments, l1 and linf from samples: all against the module on the samples themselves."""
    spec = dataclasses.replace(SPEC, steps=60)
    found = Lottery(spec, DlnCell(norm_layer, RATE), (3,))
    found.run()
    recorded = values(found.frame(), "history", "loss", 3)
    losses = descent(build_instance(norm_layer, depth=3).network, 3, 61, RATE)
    # sixty steps of a smooth descent amplify the 1e-14 of one gradient little
    np.testing.assert_allclose(recorded, [losses[step] for step in recorded.index], rtol=1e-8)


def test_at_most_ten_numbers_a_seed_beside_the_losses() -> None:
    frame = played("batch")
    one = frame[(frame["seed"] == 0) & (frame["probe"] != "history")]
    assert one["quantity"].tolist() == [
        "steps",
        "diverged_at",
        "start_beta",
        "peak_beta",
        "peak_beta_step",
        "late_beta",
        "escape_step_1",
        "escape_step_2",
    ]
    assert len(loss_steps(10_000)) == 150
    assert loss_steps(10_000)[-1] == 10_000
    assert escape_ranks(10) == (1, 2, 5, 9)  # four more at the paper's size: ten


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = played("batch", tuple(range(5)))
    monkeypatch.setattr(lottery, "CHUNK", 2)
    parts = played("batch", tuple(range(5)))
    keys = [name for name in COLUMNS if name != "value"]
    pd.testing.assert_frame_equal(whole[keys], parts[keys])
    # products are batched differently: equal up to roundoff
    np.testing.assert_allclose(whole["value"], parts["value"], rtol=1e-9)


@pytest.mark.parametrize("stop", [0, 4, 8, 9, 13, 17])
def test_a_lottery_that_is_stopped_goes_on_with_the_same_bytes(
    stop: int, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lottery, "CHUNK", 2)
    cell, seeds = DlnCell("batch", RATE), (0, 1, 2)
    whole = Lottery(SPEC, cell, seeds)
    whole.run()

    class Stopped(Exception):
        pass

    def points() -> ResumePoints:
        return ResumePoints(tmp_path / "out", tmp_path / "folder", {"it": "is me"}, interval=0.0, say=lambda line: None)

    calls = iter(range(100))

    def stop_at(step: int) -> None:
        if next(calls) == stop:
            raise Stopped

    (tmp_path / "folder").mkdir()
    first, resume = Lottery(SPEC, cell, seeds), points()
    resume.add(lottery=first)
    with pytest.raises(Stopped):
        first.run(stop_at, resume)
    again, resume = Lottery(SPEC, cell, seeds), points()
    resume.add(lottery=again)
    assert resume.restore() == (stop > 0)
    again.run(resume=resume)
    pd.testing.assert_frame_equal(again.frame(), whole.frame())


def test_summaries_by_hand() -> None:
    nan, inf = math.nan, math.inf
    losses = torch.tensor([[9.0, 9.0], [5.0, nan], [2.0, nan], [0.5, nan], [0.1, nan]], dtype=torch.float64)
    betas = torch.tensor([[1.0, 4.0], [inf, nan], [3.0, nan]], dtype=torch.float64)
    floors = torch.tensor([[10.0, 4.0, 1.0, 0.0], [10.0, 4.0, 1.0, 0.0]], dtype=torch.float64)
    found = summarize(losses, betas, floors, probe_every=2)
    assert found["diverged_at"].tolist()[1] == 1.0
    assert math.isnan(found["diverged_at"][0])
    assert found["peak_beta"].tolist() == [inf, 4.0]
    assert found["peak_beta_step"].tolist() == [2.0, 0.0]
    assert found["escape_step_1"].tolist() == [2.0, inf]
    assert found["escape_step_2"].tolist() == [3.0, inf]
    assert found["late_beta"][0] == 3.0
    assert math.isnan(found["late_beta"][1])


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 149, 150, 1000, 10_000])
def test_losses_are_kept_from_the_first_to_the_last_step_each_once_and_densely_at_first(steps: int) -> None:
    found = loss_steps(steps)
    assert found == sorted(set(found))
    assert (found[0], found[1], found[-1]) == (0, 1, steps)
    assert len(found) <= 150
    if steps <= 10:
        assert found == list(range(steps + 1))
    else:
        assert len(found) > (100 if steps > 149 else 60)
        gaps = np.diff(found)
        assert gaps[0] == 1
        assert gaps[-1] == gaps.max()


@pytest.mark.parametrize(
    ("features", "ranks"), [(1, (1,)), (2, (1, 2)), (3, (1, 2)), (4, (1, 2, 3)), (7, (1, 2, 3, 6))]
)
def test_ranks_that_are_watched(features: int, ranks: tuple[int, ...]) -> None:
    assert escape_ranks(features) == ranks


def test_summaries_at_their_edges() -> None:
    """Eleven losses, β every step: step 7 of 10 is not yet late; a floor that is met is not left behind."""
    nan = math.nan
    losses = torch.arange(10.0, -1.0, -1.0, dtype=torch.float64)[:, None]
    betas = torch.full((11, 1), 5.0, dtype=torch.float64)
    betas[2], betas[7:] = 100.0, torch.tensor([1.0, 3.0, 2.0, 9.0])[:, None]
    found = summarize(losses, betas, torch.tensor([[99.0, 4.0, 0.0]]), probe_every=1)
    assert found["late_beta"].tolist() == [3.0]  # of 3, 2 and 9
    assert found["escape_step_1"].tolist() == [7.0]
    assert found["escape_step_2"].tolist() == [math.inf]
    assert (found["start_beta"].tolist(), found["peak_beta"].tolist()) == ([5.0], [100.0])
    assert found["peak_beta_step"].tolist() == [2.0]
    alone = summarize(losses, torch.tensor([[nan]]), torch.tensor([[99.0, 10.5, 0.0]]), probe_every=11)
    assert alone["late_beta"].isnan().all()  # nothing late was probed
    assert alone["peak_beta"].isnan().all()
    assert alone["escape_step_1"].tolist() == [0.0]


def test_cells_of_a_section() -> None:
    blocks = (LotteryBlock(("none", "batch"), (1e-6,), 1000), LotteryBlock(("l1",), (1e-6, 1e-7), 100))
    assert {cell.name: seeds for cell, seeds in lottery_cells(blocks).items()} == {
        "none-1e-06": 1000,
        "batch-1e-06": 1000,
        "l1-1e-06": 100,
        "l1-1e-07": 100,
    }
    with pytest.raises(InputError, match=r"dln_lottery: l1-1e-06 stands in two entries"):
        lottery_cells((*blocks, LotteryBlock(("l1",), (1e-6,), 5)))
