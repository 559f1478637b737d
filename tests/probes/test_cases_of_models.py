"""The cases on models, second derivatives, memory, cost and precision, by their numbers."""

import copy
import gc
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normlab import probes
from normlab.nn import normalizer
from normlab.probes import (
    Monitor,
    activation_moments,
    covariate_shift,
    directional_curvature,
    hessian_vector_product,
    landscape,
    top_eigenvalues,
)
from tests.reference import twins
from tests.reference.models import BY_NAME, Held, classification
from tests.reference.traces import no_trace


@pytest.mark.parametrize("held", [BY_NAME[n] for n in ("unused_and_frozen", "tied", "transformer")], ids=str)
def test_case_15_unused_frozen_tied_parameters_and_dict_batches_work(held: Held) -> None:
    model, loss_fn, batch = held.make()
    trainable = [p for p in model.parameters() if p.requires_grad]
    product = hessian_vector_product(model, loss_fn, batch, [torch.ones_like(p) for p in trainable])
    assert [h.shape for h in product] == [p.shape for p in trainable]
    if held.name == "unused_and_frozen":
        assert product[0].abs().sum() == 0
        assert landscape(model, loss_fn, batch, [0.1], direction="random").betas.isfinite().all()
    found = landscape(model, loss_fn, batch, [0.1])
    assert found.losses.tolist() == pytest.approx(twins.walk(model, loss_fn, batch, [0.1], None, "train")["losses"])
    with pytest.raises(ValueError, match="no trainable parameter"):
        landscape(model.requires_grad_(False), loss_fn, batch, [0.1])


def test_case_16_in_place_relu_parameter_free_modules_and_every_normalizer() -> None:
    x, y = torch.randn(6, 4, 3, 3, dtype=torch.float64), torch.arange(6) % 3
    for kind in ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf", "layer", "group", "instance"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(4, 4, 1), normalizer(kind, 4), nn.ReLU(True), nn.Flatten(), nn.Linear(36, 3))
        with no_trace(model.double(), (x, y)):
            found = landscape(model, classification, (x, y), [0.1])
        assert math.isfinite(found.effective_beta)
    for model in (
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        nn.Sequential(nn.Linear(4, 4), normalizer("l2", 4, dims=0)),
    ):
        with pytest.raises(ValueError, match=r"more than (one|1) value per channel"):
            landscape(model, lambda m, b: m(b).sum(), torch.ones(1, 4), [0.1])


def test_case_17_zero_tensors_never_divide_by_zero() -> None:
    model, loss_fn, batch = BY_NAME["batch_cnn"].make()
    nn.init.zeros_(model[1].weight)  # zero gamma, and BatchNorm's bias is zero from the start
    found = landscape(model, loss_fn, batch, [0.1], direction="random")
    assert torch.isfinite(torch.cat([found.losses, found.betas])).all()
    shifts = covariate_shift(model, loss_fn, batch, learning_rate=0.1)
    assert shifts["0"].l2 == 0
    assert math.isnan(shifts["0"].cosine)  # behind gamma = 0 the convolution has no gradient: undefined, and said so
    assert any("zero gradient" in note for note in shifts["0"].notes)


def test_case_19_second_derivatives_are_exact_and_the_beta_of_a_quadratic_is_the_eigenvalue() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    dense = twins.hessian(model, loss_fn, batch)
    found = top_eigenvalues(model, loss_fn, batch, 2, tol=1e-6)
    # central differences of float64 gradients are good to about 1e-9
    assert found.values.tolist() == pytest.approx(torch.linalg.eigvalsh(dense).flip(0)[:2].tolist(), rel=1e-6)
    w = nn.ParameterList([nn.Parameter(torch.tensor([0.0, 2.0], dtype=torch.float64))])
    walk = landscape(w, lambda m, lam: 0.5 * (lam * m[0] ** 2).sum(), torch.tensor([7.0, 3.0]), [0.1, 5.0])
    assert walk.betas.tolist() == pytest.approx([3.0, 3.0])


def test_case_20_memory_does_not_grow_over_a_thousand_probes() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    mixed = [
        partial(landscape, step_sizes=[0.3]),
        partial(covariate_shift, learning_rate=0.3),
        directional_curvature,
        lambda m, f, b: activation_moments(m, b, ["0"]),
    ]

    def run(times: int) -> tuple[int, int]:
        for index in range(times):
            mixed[index % len(mixed)](model, loss_fn, batch)
        gc.collect()
        alive = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
        return alive, int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    tensors, memory = run(100)
    growth = []
    for _ in range(4):
        after, now = run(250)
        assert after == tensors
        growth.append(now - memory)
        memory = now
    # a leak grows in every round (a gradient and its graph kept a probe: over 2.5 MB a round), whereas the allocator
    # takes a larger piece of memory once: in a process that ran other tests before, up to 9 MB in one round
    assert min(growth) < 1_000_000


def test_case_21_the_cost_is_stated_and_kept() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    calls = []

    def counted(m: nn.Module, b: object) -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        return loss_fn(m, b)

    monitor = Monitor(model, counted, every=10, probes={"walk": partial(landscape, step_sizes=[0.1] * 5)})
    for step in range(30):
        monitor(step, batch)
    assert len(calls) == monitor.times(30) * (5 + 2)  # the base point twice: it must have kept its loss
    calls.clear()
    landscape(model, counted, batch, [0.1] * 5, gradients=False)
    assert calls == [True] + [False] * 5 + [True]  # one gradient for the direction, then forwards without a graph
    for probe in (landscape, covariate_shift, activation_moments, hessian_vector_product, top_eigenvalues, Monitor):
        assert "Cost:" in probe.__doc__


def test_case_22_a_probe_takes_one_batch_and_chunks_are_not_accumulated() -> None:
    model, loss_fn, batch = BY_NAME["batch_cnn"].make()
    chunks = [(batch[0][:3], batch[1][:3]), (batch[0][3:], batch[1][3:])]
    with no_trace(model, batch), pytest.raises(ValueError, match="one batch, got an iterator"):
        landscape(model, loss_fn, iter(chunks), [0.1])
    whole = landscape(model, loss_fn, batch, [0.1]).loss
    parts = sum(landscape(model, loss_fn, chunk, [0.1]).loss for chunk in chunks) / 2
    assert abs(whole - parts) > 1e-3  # why: the mean over chunks is another function
    assert "not accumulated" in " ".join(probes.__doc__.split())


def test_case_27_other_types_wrappers_and_layouts() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Flatten(), nn.Linear(16, 3))
    batch = (torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3)
    plain = landscape(model, classification, batch, [0.1])
    for cast in (torch.bfloat16, torch.half):
        with pytest.raises(TypeError, match="cast the model"):
            landscape(copy.deepcopy(model).to(cast), classification, batch, [0.1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(landscape(model, classification, batch, [0.1]).losses, plain.losses)

    def hidden_cast(m: nn.Module, b: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.cross_entropy(m(b[0]).float(), b[1])

    with pytest.raises(TypeError, match="bfloat16"):
        landscape(model, hidden_cast, batch, [0.1])
    for wrapped in (nn.DataParallel(model), torch.compile(model)):
        assert torch.equal(landscape(wrapped, classification, batch, [0.1]).losses, plain.losses)
        assert list(covariate_shift(wrapped, classification, batch, learning_rate=0.1)) == ["0", "4"]
    strided = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with no_trace(strided):
        other = landscape(strided, classification, batch, [0.1])
    assert other.losses.tolist() == pytest.approx(plain.losses.tolist(), rel=1e-5)  # float32, another order of sums
