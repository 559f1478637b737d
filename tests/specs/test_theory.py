"""Sections `theory`, `assumptions` and `reparametrization`: impossible values are one clear line."""

import pytest

from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import InputError, build
from normlab.specs.theory import TheorySpec

THEORY = {"cases": 2, "samples": [4], "seeds": [0]}
ASSUMPTIONS = {"norm_layer": ["batch"], "steps": [0], "layers": 0, "units": 1}
REPARAMETRIZATION = {"norm_layer": ["none"], "steps": [0], "step_sizes": [1.0]}


def test_valid_sections():
    assert build(TheorySpec, THEORY, "theory").samples == (4,)
    assert build(AssumptionsSpec, {**ASSUMPTIONS, "norm_layer": []}, "assumptions").norm_layer == ()
    spec = build(ReparametrizationSpec, REPARAMETRIZATION, "reparametrization")
    assert (spec.norm_layer, spec.distances, spec.learned_affine) == (("none",), (), False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": 0}, "theory.cases: must be at least 1, got 0"),
        ({"samples": [2]}, "theory.samples: each must be at least 3, got 2"),
        ({"seeds": []}, "theory.seeds: expected at least one entry"),
        ({"seeds": [1, 1]}, "theory.seeds: every entry may appear once"),
        ({"steps": [0]}, "theory.steps"),
    ],
)
def test_bad_theory_sections(change, message):
    with pytest.raises(InputError, match=message):
        build(TheorySpec, {**THEORY, **change}, "theory")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_layer": ["l1"]}, r"assumptions.norm_layer: accepted: \[batch\], or \[\] for no run, got \['l1'\]"),
        ({"units": 0}, "assumptions.units: must be at least 1, got 0"),
        ({"layers": -1}, "assumptions.layers: .* got -1"),
        ({"steps": []}, "assumptions.steps: expected at least one entry"),
        ({"steps": [0, 0]}, "assumptions.steps: every entry may appear once"),
        ({"steps": [-1]}, "assumptions.steps: each must be at least 0, got -1"),
    ],
)
def test_bad_assumptions_sections(change, message):
    with pytest.raises(InputError, match=message):
        build(AssumptionsSpec, {**ASSUMPTIONS, **change}, "assumptions")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_layer": ["batch"]}, r"reparametrization.norm_layer: accepted: \[none\], or \[\] for no run"),
        ({"steps": []}, "reparametrization.steps: expected at least one entry"),
        ({"steps": [-5]}, "reparametrization.steps: each must be at least 0, got -5"),
        ({"step_sizes": [0.0]}, "reparametrization.step_sizes: each must be a positive number, got 0.0"),
        ({"distances": [1.0, 1.0]}, "reparametrization.distances: every entry may appear once"),
    ],
)
def test_bad_reparametrization_sections(change, message):
    with pytest.raises(InputError, match=message):
        build(ReparametrizationSpec, {**REPARAMETRIZATION, **change}, "reparametrization")
