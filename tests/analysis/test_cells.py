"""Cells: which rows are whose, and what a cell says of its runs when a table is missing."""

import dataclasses
import math

import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError
from normlab.tables.frames import combine
from normlab.tables.rows import Rows


def rows(
    seed: int = 0, norm_layer: str = "none", rate: float = 0.1, study: str = "vgg", network: str = "vgg11"
) -> Rows:
    keys = {"study": study, "network": network, "norm_layer": norm_layer, "learning_rate": rate, "seed": seed}
    return Rows(keys)


def cell(*runs: Rows) -> Cell:
    return Cell("vgg11", "none", 0.1, pd.concat([run.frame() for run in runs]))


def cells(*runs: Rows, variants: dict[str, tuple[Rows, ...]] | None = None) -> Cells:
    frames = [run.frame() for run in runs]
    for variant, others in (variants or {}).items():
        frames += [run.frame().assign(variant=variant) for run in others]
    return Cells(combine(frames), pd.DataFrame(), SPEC)


def test_planned_updates_are_those_of_the_summary_the_history_or_the_last_probe() -> None:
    summary, history, probes = rows(0), rows(0), rows(0)
    for run in (summary, history, probes):
        run.add("landscape", 30, {"loss": 1.0})
        run.add("weights", 40, {"weight_norm": 1.0}, layer="a")
    for run in (summary, history):
        run.add("history", 19, {"loss": 1.0})
    summary.add("summary", 5, {"steps": 50})
    found = [cell(run, rows_of(run, 1)).horizons.to_dict() for run in (summary, history, probes)]
    assert found == [{0: 50.0, 1: 51.0}, {0: 20.0, 1: 21.0}, {0: 40.0, 1: 41.0}]


def rows_of(run: Rows, seed: int) -> Rows:
    """The same rows of another seed, a step later and with a step more planned."""
    frame = run.frame()
    other = rows(seed)
    for row in frame.itertuples():
        value = row.value + 1 if row.quantity == "steps" else row.value
        layer = {} if pd.isna(row.layer) or not row.layer else {"layer": row.layer}
        other.add(row.probe, row.step + 1, {row.quantity: value}, **layer)
    return other


def test_without_a_summary_a_loss_that_is_not_finite_is_a_divergence() -> None:
    runs = []
    for seed, losses in enumerate(([1.0, 2.0], [1.0, math.inf], [math.nan, 1.0])):
        runs.append(rows(seed))
        for step, loss in enumerate(losses):
            runs[-1].add("history", step, {"loss": loss})
    assert cell(*runs).diverged.to_dict() == {0: False, 1: True, 2: True}
    for seed, run in enumerate(runs):  # what a summary says counts
        run.add("summary", 2, {"diverged_at": 0.0 if seed == 0 else math.nan})
    assert cell(*runs).diverged.to_dict() == {0: True, 1: False, 2: False}


def test_layers_have_their_places_and_a_network_its_depth() -> None:
    first, second = rows(0), rows(1)
    for run in (first, second):
        for place, names in ((2, ("conv_b", "norm_b")), (1, ("norm_a",)), (3, ("norm_c",))):
            for name in names:
                run.add("structure", 0, {"place": place}, layer=name)
    found = cell(first, second)
    assert found.places == {"conv_b": 2, "norm_b": 2, "norm_a": 1, "norm_c": 3}
    assert found.depth == 3
    assert found.seeds == [0, 1]
    with pytest.raises(NotRunError, match=r"^no structure measurement of place in vgg11-none-0\.1$"):
        _ = cell(_probed()).depth


def _probed() -> Rows:
    run = rows()
    run.add("landscape", 5, {"loss": 1.0, "beta": 2.0}, step_size=0.1)
    run.add("landscape", 5, {"loss": 9.0}, batch=1)
    return run


def test_a_quantity_that_was_not_measured_is_named_with_what_was_asked() -> None:
    found = cell(_probed())
    assert found.rows("landscape", "loss")["value"].tolist() == [1.0]  # training's own batch
    assert found.rows("landscape", "loss", batch=1)["value"].tolist() == [9.0]
    assert (found.has("landscape", "beta"), found.has("landscape", "stretch")) == (True, False)
    assert (found.has("curvature", "beta"), found.name) == (False, "vgg11-none-0.1")
    for probe, quantity, conditions, said in (
        ("landscape", "loss", {"step_size": 0.5}, "no landscape measurement of loss, step_size 0.5 in vgg11-none-0.1"),
        ("landscape", "loss", {"step_size": None}, "no landscape measurement of loss in vgg11-none-0.1"),
        ("landscape", "stretch", {"layer": "a"}, "no landscape measurement of stretch, layer a in vgg11-none-0.1"),
    ):
        with pytest.raises(NotRunError) as caught:
            found.rows(probe, quantity, **conditions)
        assert str(caught.value) == said


def _measured(*args: object, **settings: object) -> Rows:
    run = rows(*args, **settings)  # type: ignore[arg-type]
    run.add("landscape", 5, {"loss": 1.0})
    return run


def test_cells_of_other_studies_take_no_part_in_the_comparison() -> None:
    found = cells(
        _measured(0, "none", 0.5),
        _measured(0, "none", 0.1),
        _measured(1, "none", 0.1),
        _measured(0, "batch", 0.1),
        _measured(0, "none", 0.1, network="resnet20"),
        _measured(0, "none", 1e-6, study="dln", network="dln"),
        _measured(0, "none", 1e-7, study="dln", network="dln"),
        _measured(0, "none", 1e-5, study="dln_scan", network="dln"),
        _measured(0, "batch", 0.1, study="reparametrization"),
    )
    assert len(found.all) == 6
    assert [one.learning_rate for one in found.rates("none")] == [0.1, 0.5]
    assert [one.learning_rate for one in found.rates("none", "dln")] == [1e-7, 1e-6]
    assert found.rates("l1") == []
    assert sorted(one.name for one in found.compared()) == ["vgg11-batch-0.1", "vgg11-none-0.1"]
    assert [one.name for one in found.compared("dln")] == ["dln-none-1e-06"]
    assert [one.name for one in found.compared("resnet20")] == ["resnet20-none-0.1"]
    assert [one.name for one in found.of_study("dln_scan")] == ["dln-none-1e-05"]
    assert found.vgg("none").seeds == [0, 1]
    assert found.vgg("none", 0.5).learning_rate == 0.5
    assert found.deep_linear("none", 1e-7).learning_rate == 1e-7
    assert len(found.reparametrization) == 1


def test_each_variant_has_its_cells_and_the_shared_settings_come_first() -> None:
    found = cells(_measured(), variants={"width=2.0": (_measured(), _measured(1)), "augment=true": (_measured(2),)})
    assert [one.variant for one in found.variants] == ["", "augment=true", "width=2.0"]
    assert [one.vgg("none").seeds for one in found.variants] == [[0], [2], [0, 1]]
    assert found.variants[2].vgg("none").name == "vgg11-none-0.1-width=2.0"
    without = dataclasses.replace(found, measurements=found.measurements.iloc[:0])
    assert [one.variant for one in without.variants] == [""]
