"""Sections `theory` and `reparametrization`: impossible values are one clear line."""

import pytest

from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import InputError, build
from normlab.specs.theory import TheorySpec

THEORY = {"cases": 2, "samples": [4], "seeds": [0], "steps": [0], "layers": 0, "units": 1}
REPARAMETRIZATION = {"steps": [0], "step_sizes": [1.0]}


def test_valid_sections():
    assert build(TheorySpec, THEORY, "theory").samples == (4,)
    spec = build(ReparametrizationSpec, REPARAMETRIZATION, "reparametrization")
    assert (spec.distances, spec.learned_affine) == ((), False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": 0}, "theory.cases: must be at least 1, got 0"),
        ({"units": 0}, "theory.units: must be at least 1, got 0"),
        ({"layers": -1}, "theory.layers: .* got -1"),
        ({"samples": [2]}, "theory.samples: each must be at least 3, got 2"),
        ({"seeds": []}, "theory.seeds: expected at least one entry"),
        ({"seeds": [1, 1]}, "theory.seeds: every entry may appear once"),
        ({"steps": [-1]}, "theory.steps: each must be at least 0, got -1"),
    ],
)
def test_bad_theory_sections(change, message):
    with pytest.raises(InputError, match=message):
        build(TheorySpec, {**THEORY, **change}, "theory")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": []}, "reparametrization.steps: expected at least one entry"),
        ({"steps": [-5]}, "reparametrization.steps: each must be at least 0, got -5"),
        ({"step_sizes": [0.0]}, "reparametrization.step_sizes: each must be a positive number, got 0.0"),
        ({"distances": [1.0, 1.0]}, "reparametrization.distances: every entry may appear once"),
    ],
)
def test_bad_reparametrization_sections(change, message):
    with pytest.raises(InputError, match=message):
        build(ReparametrizationSpec, {**REPARAMETRIZATION, **change}, "reparametrization")
