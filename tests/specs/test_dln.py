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
    assert [cell.name for cell in grid.cells] == ["none-1e-06", "none-1e-07", "l1-1e-06", "l1-1e-07"]
    with pytest.raises(InputError, match=r"dln_grid.norm_layer: accepted: batch, l1, l2, linf, none, got 'layer'"):
        DlnGridSpec(("layer",), (1e-6,))
    with pytest.raises(InputError, match=r"dln_grid.learning_rate: expected at least one entry"):
        DlnGridSpec(("none",), ())


def test_variants_are_cells_of_their_own_but_for_the_plain_network():
    grid = DlnGridSpec(("none", "l1"), (1e-6,), ("", "affine=false,last_layer=true"))
    assert [cell.name for cell in grid.cells] == ["none-1e-06", "l1-1e-06", "l1-1e-06-affine=false-last_layer=true"]
    assert grid.cells[-1].arguments == "--norm-layer l1 --learning-rate 1e-06 --variant affine=false,last_layer=true"
    varied = SPEC.varied("affine=false,last_layer=true")
    assert varied == dataclasses.replace(SPEC, affine=False, last_layer=True)
    assert SPEC.varied("") == SPEC


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (("", ""), r"dln_grid.variant: expected at least one entry, each once"),
        (("affine=false",), r'dln_grid.variant: one entry must be ""'),
        (("", "depth=3"), r"dln_grid.variant: accepted settings: affine, last_layer, got 'depth'"),
        (("", "affine=0"), r"dln_grid.variant: affine: expected true or false, got 0"),
        (("", "last_layer=true,affine=false"), r"must be written 'affine=false,last_layer=true', got 'last_layer=true"),
    ],
)
def test_variants_that_are_none_are_refused(variant, message):
    with pytest.raises(InputError, match=message):
        DlnGridSpec(("l1",), (1e-6,), variant)


def test_a_variant_differs_from_the_section():
    with pytest.raises(InputError, match=r"variant: affine=true is what section `dln` says, so it is no variant"):
        SPEC.varied("affine=true")


def test_scan_and_points():
    with pytest.raises(InputError, match=r"dln_scan.learning_rate: must be a positive number, got 0.0"):
        DlnScanSpec(("none",), (0.0,), 10, 1)
    with pytest.raises(InputError, match=r"dln_scan.steps: must be at least 1, got 0"):
        DlnScanSpec(("none",), (1e-6,), 0, 1)
    with pytest.raises(InputError, match=r"dln_grid.learning_rate: must be a positive number, got inf"):
        check_point("none", float("inf"), "dln_grid")
