"""Properties that hold for every architecture and every quadratic."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from normlab.nn import normalizer
from normlab.probes import covariate_shift, directional_curvature, landscape, top_eigenvalues
from tests.reference.traces import no_trace

QUICK = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WIDTH = 4
BETWEEN = st.sampled_from(["none", "batch", "noisy_batch", "l1", "l2", "linf", "layer", "dropout", "relu", "tanh"])


def layer(kind: str) -> nn.Module:
    others = {"dropout": nn.Dropout(0.3), "relu": nn.ReLU(inplace=True), "tanh": nn.Tanh()}
    return others[kind] if kind in others else normalizer(kind, WIDTH, dims=0)


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """A few linear layers of width 4 with anything between them, some frozen, some in eval mode."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    model = nn.Sequential()
    for _ in range(draw(st.integers(1, 3))):
        linear = nn.Linear(WIDTH, WIDTH, bias=draw(st.booleans()))
        model.extend([linear, *(layer(kind) for kind in draw(st.lists(BETWEEN, max_size=2)))])
    model.append(nn.Linear(WIDTH, 3))
    for module in model:
        if draw(st.integers(0, 4)) == 0:
            module.eval()
        if draw(st.integers(0, 5)) == 0 and module is not model[-1]:
            module.requires_grad_(False)
    return model.double()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(5, WIDTH, generator=draws, dtype=torch.float64), torch.arange(5) % 3


def loss_fn(model: nn.Module, b: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return F.cross_entropy(model(b[0]), b[1])


@QUICK
@given(model=networks(), mode=st.sampled_from(["train", "eval"]), fail=st.integers(0, 4))
@pytest.mark.filterwarnings("ignore:mode='eval'")
def test_any_architecture_is_restored_also_when_an_evaluation_fails(model: nn.Module, mode: str, fail: int) -> None:
    calls = []

    def failing(m: nn.Module, b: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        calls.append(1)
        if len(calls) == fail:
            raise KeyboardInterrupt
        return loss_fn(m, b)

    data = batch()
    for probe in (
        lambda: landscape(model, failing, data, [0.1, -3.0, 0.0], mode=mode),
        lambda: covariate_shift(model, failing, data, learning_rate=0.1, mode=mode),
        lambda: directional_curvature(model, failing, data, mode=mode),
    ):
        calls.clear()
        with no_trace(model, data):
            try:
                probe()
            except KeyboardInterrupt:
                assert len(calls) == fail


@QUICK
@given(model=networks(), scale=st.floats(0.1, 10))
def test_a_scaled_loss_scales_gradients_and_curvature(model: nn.Module, scale: float) -> None:
    data, steps = batch(), [0.3, -0.1]
    plain = landscape(model, loss_fn, data, steps)
    # the gradient is scale times as long, so the same points are steps/scale away
    scaled = landscape(model, lambda m, b: scale * loss_fn(m, b), data, [step / scale for step in steps])
    close = {"rel": 1e-6, "abs": 1e-9}  # float64; kinks of ReLU and max amplify a rounding of the weights
    assert scaled.grad_norm == pytest.approx(scale * plain.grad_norm, **close)
    assert scaled.losses.tolist() == pytest.approx((scale * plain.losses).tolist(), **close)
    assert scaled.betas.tolist() == pytest.approx((scale * plain.betas).tolist(), nan_ok=True, **close)
    assert scaled.gradient_cosines.tolist() == pytest.approx(plain.gradient_cosines.tolist(), nan_ok=True, **close)


@QUICK
@given(
    eigenvalues=st.lists(st.floats(-10, 10), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    steps=st.lists(st.floats(-5, 5).filter(lambda s: abs(s) > 1e-3), min_size=1, max_size=4),
)
def test_betas_of_a_quadratic_lie_between_its_eigenvalues(
    eigenvalues: list[float], seed: int, steps: list[float]
) -> None:
    draws = torch.Generator().manual_seed(seed)
    lam = torch.tensor(eigenvalues, dtype=torch.float64)
    model = nn.ParameterList([nn.Parameter(torch.randn(len(lam), generator=draws, dtype=torch.float64))])

    def quadratic(m: nn.Module, b: torch.Tensor) -> torch.Tensor:
        return 0.5 * (b * m[0].square()).sum()

    found = landscape(model, quadratic, lam, steps)
    curvature = directional_curvature(model, quadratic, lam)
    slack = 1e-9 * (1 + lam.abs().max().item())
    sizes = lam.abs()
    if found.grad_norm < 1e-6:
        return
    # ∇L(w − ηg) − g = −ηHg: every beta is ‖Hg‖/‖g‖, whatever the step
    assert found.betas.tolist() == pytest.approx([curvature.stretch] * len(steps), rel=1e-6)
    assert sizes.min() - slack <= found.effective_beta * (1 + 1e-6)
    assert found.effective_beta * (1 - 1e-6) <= sizes.max() + slack
    assert lam.min() - slack <= curvature.rayleigh <= lam.max() + slack
    top = top_eigenvalues(model, quadratic, lam, len(lam))
    assert top.values.tolist() == pytest.approx(sorted(eigenvalues, reverse=True), rel=1e-9, abs=1e-9)
    assert not math.isnan(found.loss_range)
