"""The settings of the deep linear study: what is refused, and how it says so."""

import dataclasses

import pytest
from tests.studies.deep_linear.test_study import SPEC

from normlab.specs.dln import DlnGridSpec, DlnScanSpec, DlnSpec, check_point
from normlab.specs.strict import InputError, build


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 1}, r"dln.depth: must be at least 2, got 1"),
        ({"samples": 3}, r"dln.samples: must be above features \(3\), so that the samples span the space, got 3"),
        ({"steps": 9}, r"dln.steps: must be a multiple of probe_every \(2\), got 9"),
        ({"control_every": 0}, r"dln.control_every: must be a multiple of probe_every \(2\), got 0"),
        ({"eps": -1.0}, r"dln.eps: must be a finite number of at least 0, got -1.0"),
        ({"seeds": (1, 1)}, r"dln.seeds: expected at least one entry, each once, got \[1, 1\]"),
        ({"seeds": (-1,)}, r"dln.seeds: each must be at least 0, got -1"),
        ({"step_sizes": ()}, r"dln.step_sizes: expected at least one entry, each once, got \[\]"),
        ({"distances": (0.0,)}, r"dln.distances: each must be a positive number, got 0.0"),
        ({"shift_layers": (4,)}, r"dln.shift_layers: each must be in 1 … 3, got 4"),
        ({"activation_layers": (3,)}, r"dln.activation_layers: each must be in 1 … 2, got 3"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SPEC, **change)


def test_a_section_of_the_file_becomes_the_spec():
    raw = {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(SPEC).items()}
    assert build(DlnSpec, raw, "dln") == SPEC
    with pytest.raises(InputError, match=r"dln.layers: unknown key"):
        build(DlnSpec, {**raw, "layers": 3}, "dln")


def test_grid_in_the_order_of_the_matrix():
    grid = DlnGridSpec(("none", "l1"), (1e-6, 1e-7))
    assert grid.cells == [("none", 1e-6), ("none", 1e-7), ("l1", 1e-6), ("l1", 1e-7)]
    with pytest.raises(InputError, match=r"dln_grid.norm_layer: accepted: batch, l1, l2, linf, none, got 'layer'"):
        DlnGridSpec(("layer",), (1e-6,))
    with pytest.raises(InputError, match=r"dln_grid.learning_rate: expected at least one entry"):
        DlnGridSpec(("none",), ())


def test_scan_and_points():
    with pytest.raises(InputError, match=r"dln_scan.learning_rate: must be a positive number, got 0.0"):
        DlnScanSpec(("none",), (0.0,), 10, 1)
    with pytest.raises(InputError, match=r"dln_scan.steps: must be at least 1, got 0"):
        DlnScanSpec(("none",), (1e-6,), 0, 1)
    with pytest.raises(InputError, match=r"dln_grid.learning_rate: must be a positive number, got inf"):
        check_point("none", float("inf"), "dln_grid")
