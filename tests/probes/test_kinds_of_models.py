"""Models as people build them: wrappers, parametrizations, shared pieces. Each walk is held against deep copies."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel

from normlab.probes import (
    activation_moments,
    covariate_shift,
    directional_curvature,
    hessian_vector_product,
    landscape,
    top_eigenvalues,
)
from tests.reference import twins
from tests.reference.functions import D, assert_walk_is_true, loss_fn, vectors
from tests.reference.traces import no_trace


def mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), *between, nn.Tanh(), nn.Linear(5, 3)).double()


def called(model: nn.Module) -> nn.Module:
    """A model after one forward pass, which makes lazy and hidden state."""
    model(vectors()[0])
    return model


def images(*between: nn.Module) -> nn.Sequential:
    layers = (nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 1), *between, nn.Flatten(), nn.Linear(16, 3))
    return nn.Sequential(*layers).double()


class Averaged(nn.Module):
    """Carries its own moving average, updated in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.average = AveragedModel(self.net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
        self.average.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.average.update_parameters(self.net)
        return self.net(x) + self.average(x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn = kind(2, 3, num_layers=2, batch_first=True, **D)
        self.hidden: Any = None

    def forward(self, x: Tensor) -> Tensor:
        out, hidden = self.rnn(x.reshape(-1, 2, 2), self.hidden)
        self.hidden = hidden  # carried over to the next call, graph and all
        return out[:, -1]


class SharedBlocks(nn.Module):
    """One module under two names and in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4, **D), nn.BatchNorm1d(4, **D))
        self.second = self.first
        self.blocks = [self.first, nn.Linear(4, 4, **D)]
        self.head = nn.Linear(4, 3, **D)

    def forward(self, x: Tensor) -> Tensor:
        for block in (self.first, self.second, *self.blocks):
            x = torch.tanh(block(x))
        return self.head(x)


class Flat(nn.Module):
    """Parameters are views into one vector, as flattened optimizers and cuDNN lay them out."""

    def __init__(self) -> None:
        super().__init__()
        flat = torch.randn(27, **D)
        self.weight = nn.Parameter(flat[:12].view(3, 4))
        self.middle = nn.Parameter(flat[12:24].view(4, 3).T)
        self.bias = nn.Parameter(flat[24:])
        self.register_buffer("flat", flat)

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight + self.middle).T + self.bias + 0.1 * self.flat.sum()  # moves with its parts


class Columns(nn.Module):
    """Two parameters whose spans of memory overlap, without an element in common."""

    def __init__(self) -> None:
        super().__init__()
        both = torch.randn(4, 6, **D)
        self.left, self.right = nn.Parameter(both[:, :3]), nn.Parameter(both[:, 3:])

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.left + torch.tanh(x @ self.right)


class Spectral(nn.Module):
    """Complex parameters, as in Fourier layers, and a complex buffer, as in rotary embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6, **D)
        self.mix = nn.Parameter(torch.randn(3, 3, dtype=torch.complex128))
        self.register_buffer("rotation", torch.polar(torch.ones(3), torch.arange(3.0)).to(torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.view_as_complex(self.linear(x).view(-1, 3, 2)) * self.rotation
        return (z @ self.mix).abs()


class Rotary(nn.Module):
    """A real model with a complex table of rotations in single precision."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, **D)
        self.register_buffer("freqs_cis", torch.polar(torch.ones(2), torch.arange(2.0)))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.view_as_complex(self.linear(x).view(-1, 2, 2)) * self.freqs_cis
        return torch.view_as_real(z).flatten(1)


class Hooked(nn.Module):
    """Hooks that keep state: an output that is cached, an input that is scaled by a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.cache, self.scale = mlp(), [], 1.0
        self.net[0].register_forward_pre_hook(self._before)
        self.net[0].register_forward_hook(self._after)

    def _before(self, module: nn.Module, args: Any) -> Any:
        self.scale += 1
        return (args[0] * self.scale,)

    def _after(self, module: nn.Module, args: Any, out: Tensor) -> None:
        self.cache.append(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * len(self.cache)


class Rewrapped(nn.Module):
    """Wraps its parameter anew in every forward pass, over the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, **D))

    def forward(self, x: Tensor) -> Tensor:
        self.weight = nn.Parameter(self.weight.data)
        return x @ self.weight.T


class Pruned(nn.Module):
    """torch's pruning: the weight is an attribute made of an original and a mask by a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        prune.random_unstructured(self.net[0], "weight", 0.5)
        self.net[0].weight = self.net[0].weight.detach()  # a deep copy refuses a graph

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).T


def parametrized() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    parametrize.register_parametrization(model[0], "weight", Symmetric())
    return model


def old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and still in many checkpoints
        return nn.utils.weight_norm(module)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "moving average": Averaged,
    "spectral norm by hooks": lambda: mlp(nn.utils.spectral_norm(nn.Linear(5, 5))),
    "spectral norm": lambda: mlp(parametrizations.spectral_norm(nn.Linear(5, 5))),
    "orthogonal": lambda: mlp(parametrizations.orthogonal(nn.Linear(5, 5))),
    "weight norm by hooks": lambda: mlp(old_weight_norm(nn.Linear(5, 5))),
    "weight norm": lambda: mlp(parametrizations.weight_norm(nn.Linear(5, 5))),
    "parametrized": parametrized,
    "pruned": Pruned,
    "lazy, run once": lambda: called(nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(3)).double()),
    "momentum None": lambda: mlp(nn.BatchNorm1d(5, momentum=None)),
    "no running statistics": lambda: mlp(nn.BatchNorm1d(5, track_running_stats=False)),
    "instance norm": lambda: images(nn.InstanceNorm2d(4, track_running_stats=True)),
    "shared blocks": SharedBlocks,
    "views into one vector": Flat,
    "columns of one matrix": Columns,
    "complex": Spectral,
    "rotary embedding": Rotary,
    "hooks with state": Hooked,
    "wrapped anew": Rewrapped,
    "data parallel": lambda: nn.DataParallel(mlp()),
    "channels last": lambda: images().to(memory_format=torch.channels_last),
    "dropout": lambda: mlp(nn.Dropout(0.4)),
    "sparse embedding": lambda: nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Flatten(), nn.Linear(12, 3)).double(),
}


@pytest.mark.parametrize("name", MODELS)
def test_walks_over_models_of_every_kind(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    batch = (torch.randint(0, 5, (6, 4)), vectors()[1]) if name == "sparse embedding" else None
    if "by hooks" in name:
        model[1].weight = model[1].weight.detach()  # a deep copy refuses a graph
    assert_walk_is_true(model, batch=batch)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_hidden_state_that_is_carried_over_starts_anew(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    assert_walk_is_true(Recurrent(kind))


def test_compiled_models_and_losses() -> None:
    torch.manual_seed(0)
    model = mlp(nn.BatchNorm1d(5))
    plain = landscape(model, loss_fn, vectors(), [0.1])
    curvature = directional_curvature(model, loss_fn, vectors())
    compiled_loss = torch.compile(loss_fn, backend="eager")
    assert landscape(torch.compile(model, backend="eager"), loss_fn, vectors(), [0.1]).losses == plain.losses
    assert landscape(model, compiled_loss, vectors(), [0.1]).losses == plain.losses
    assert directional_curvature(model, compiled_loss, vectors()) == curvature


def test_two_parameters_over_one_memory_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).double()
    model[1].weight.data = model[0].weight.data
    with pytest.raises(ValueError, match=r"'0.weight' and '1.weight' lie in the same memory"):
        landscape(model, lambda m, b: m(b).square().sum(), torch.ones(2, 3, **D), [0.1])
    model[1].weight.data = model[0].weight.data.T
    with pytest.raises(ValueError, match=r"'0.weight' and '1.weight' lie in the same memory"):
        landscape(model, lambda m, b: m(b).square().sum(), torch.ones(2, 3, **D), [0.1])
    model[1].weight.requires_grad_(False)  # one of the two: it moves with the other
    twin = copy.deepcopy(model)
    twin[1].weight.data = twin[0].weight.data.T
    x = torch.ones(2, 3, **D)
    g = torch.autograd.grad(twin(x).square().sum(), [p for p in twin.parameters() if p.requires_grad])
    with torch.no_grad():
        for p, d in zip([p for p in twin.parameters() if p.requires_grad], g, strict=True):
            p.sub_(0.1 * d)
    found = landscape(model, lambda m, b: m(b).square().sum(), x, [0.1])
    assert found.losses.item() == pytest.approx(twin(x).square().sum().item(), rel=1e-12)
    wide = nn.ParameterList([nn.Parameter(torch.ones(1, **D).expand(3))])
    with pytest.raises(ValueError, match=r"elements of parameter '0' share memory"):
        landscape(wide, lambda m, b: m[0].square().sum(), None, [0.1])


def test_models_without_values_and_scripts_are_refused_in_one_line() -> None:
    with torch.device("meta"):
        empty = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="'weight' is on the meta device"):
        landscape(empty, loss_fn, vectors(), [0.1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(mlp(), vectors()[0])
    for model in (scripted, nn.Sequential(scripted)):
        with pytest.raises(TypeError, match="is a ScriptModule"):
            landscape(model, loss_fn, vectors(), [0.1])


def physics(net: nn.Module, t: Tensor) -> Tensor:
    """Residual of u' = −u, which needs a derivative inside the loss."""
    t = t.clone().requires_grad_()
    u = net(t)
    (du,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    return (du + u).square().mean()


def test_models_that_differentiate_inside() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    t = torch.linspace(0, 1, 8, **D)[:, None]
    assert_walk_is_true(net, physics, t)
    with no_trace(net, (t,)):
        full = landscape(net, physics, t, [0.1, 0.2])
        assert landscape(net, physics, t, [0.1, 0.2], gradients=False).losses.tolist() == full.losses.tolist()
        moments = activation_moments(net, t, ["0"], forward=physics)["0"]
    assert moments.mean.tolist() == pytest.approx(net[0](t).mean(0).tolist(), rel=1e-12)


def test_anything_may_be_the_default_device() -> None:
    model, batch = mlp(nn.BatchNorm1d(5)), vectors()
    vector = [torch.ones_like(p) for p in model.parameters()]
    walk, value = landscape(model, loss_fn, batch, [0.1, 0.2]), top_eigenvalues(model, loss_fn, batch, 2).values
    moments = activation_moments(model, batch, ["0"])["0"].histogram
    torch.set_default_device("meta")  # stands for "cuda" with the model on the CPU
    try:
        with no_trace(model, batch):
            for random in (False, True):
                found = landscape(model, loss_fn, batch, [0.1, 0.2], direction="random" if random else "gradient")
                assert found.losses.device.type == found.step_sizes.device.type == "cpu"
                assert found.betas.isfinite().all()
                assert random or torch.equal(found.losses, walk.losses)
            assert top_eigenvalues(model, loss_fn, batch, 2).values.tolist() == value.tolist()
            assert hessian_vector_product(model, loss_fn, batch, vector)[0].device.type == "cpu"
            assert directional_curvature(model, loss_fn, batch).stretch > 0
            assert covariate_shift(model, loss_fn, batch, learning_rate=0.1)["0"].l2 == 0
            assert activation_moments(model, batch, ["0"])["0"].histogram.tolist() == moments.tolist()
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize("inplace", [False, True])
def test_curvature_through_hardsigmoid(inplace: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Hardsigmoid(inplace), nn.Linear(5, 3)).double()
    values, _ = torch.linalg.eigvalsh(twins.hessian(model, loss_fn, vectors())).sort(descending=True)
    found = top_eigenvalues(model, loss_fn, vectors(), 2, tol=1e-8)
    assert found.values.tolist() == pytest.approx(values[:2].tolist(), rel=1e-6)  # central differences: 1e-9


def test_curvature_of_complex_parameters_is_that_of_their_real_and_imaginary_parts() -> None:
    torch.manual_seed(0)
    model = Spectral()

    class Real(nn.Module):
        """The same function of real parameters only."""

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.parts = copy.deepcopy(model.linear), nn.Parameter(torch.view_as_real(model.mix.detach()))

        def forward(self, x: Tensor) -> Tensor:
            z = torch.view_as_complex(self.linear(x).view(-1, 3, 2)) * model.rotation
            return (z @ torch.view_as_complex(self.parts)).abs()

    real = Real()
    close = {"rel": 1e-8}  # both by double backward in float64; eigenvalues to tol
    found, truth = (top_eigenvalues(m, loss_fn, vectors(), 3, tol=1e-10) for m in (model, real))
    assert found.values.tolist() == pytest.approx(truth.values.tolist(), **close)
    found, truth = (directional_curvature(m, loss_fn, vectors()) for m in (model, real))
    assert (found.rayleigh, found.stretch) == pytest.approx((truth.rayleigh, truth.stretch), **close)
    found, truth = (covariate_shift(m, loss_fn, vectors(), learning_rate=0.1) for m in (model, real))
    assert [s.l2 for s in found.values()] == pytest.approx([s.l2 for s in truth.values()], **close)


def test_a_step_that_diverges_is_a_result_under_anomaly_detection() -> None:
    model, x = mlp(), vectors()[0]
    loss = lambda m, b: (m(b) ** 4).mean()  # noqa: E731
    expected = landscape(model, loss, x, [0.1, 1e200]).losses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it is slow
        with torch.autograd.set_detect_anomaly(True):
            assert torch.equal(landscape(model, loss, x, [0.1, 1e200]).losses, expected)
            assert torch.is_anomaly_enabled()
    assert torch.isinf(expected[1])


AXES = {
    "conv": (nn.Conv1d(2, 7, 3, padding=1), (4, 2, 11), (0, 2)),
    "transposed": (nn.ConvTranspose2d(2, 7, 3), (4, 2, 5, 5), (0, 2, 3)),
    "volume": (nn.Conv3d(2, 7, 1), (4, 2, 3, 3, 3), (0, 2, 3, 4)),
    "batch norm": (nn.BatchNorm1d(7), (4, 7, 11), (0, 2)),
    "batch norm of volumes": (nn.BatchNorm3d(7), (4, 7, 2, 2, 2), (0, 2, 3, 4)),
    "instance norm": (nn.InstanceNorm1d(7), (4, 7, 11), (0, 2)),
    "group norm": (nn.GroupNorm(1, 7), (4, 7, 11), (0, 2)),
    "linear on channels last": (nn.Linear(2, 7), (4, 3, 3, 2), (0, 1, 2)),
    "layer norm": (nn.LayerNorm(7), (4, 3, 3, 7), (0, 1, 2)),
    "sequence": (nn.Identity(), (4, 3, 7), (0, 1)),
}


@pytest.mark.parametrize("name", AXES)
def test_units_lie_along_the_axis_of_the_layer(name: str) -> None:
    torch.manual_seed(0)
    layer, shape, others = AXES[name]
    model, x = nn.Sequential(layer.double()), torch.randn(shape, **D)
    found = activation_moments(model, x, ["0"])["0"]
    out = copy.deepcopy(model)(x)
    assert found.mean.tolist() == pytest.approx(out.mean(others).tolist(), abs=1e-12)
    assert found.variance.tolist() == pytest.approx(out.var(others, correction=0).tolist(), rel=1e-12)
    overridden = activation_moments(model, x, ["0"], axis=0)["0"]
    assert len(overridden.mean) == out.shape[0]


def test_an_axis_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="there is no axis 4"):
        activation_moments(nn.Linear(4, 3), torch.ones(2, 4), [""], axis=4)
    with pytest.raises(ValueError, match="others with axis="):
        activation_moments(nn.Identity(), torch.ones(2, 1, 1, 1, 4), [""])
