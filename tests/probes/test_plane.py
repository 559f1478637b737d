"""Planes through the weights and trajectories on them."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes import landscape_plane
from tests.reference.functions import D
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


def shifted(model: nn.Module, *parts: tuple[float, list[Tensor]]) -> nn.Module:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for factor, direction in parts:
            for p, d in zip(twin.parameters(), direction, strict=True):
                p.add_(factor * d)
    return twin


def draw(model: nn.Module, seed: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [0.3 * torch.randn(p.shape, generator=draws, **D) for p in model.parameters()]


@pytest.mark.parametrize("name", ["batch_mlp", "dropout"])
def test_losses_are_those_of_deep_copies(name: str) -> None:
    model, loss, batch = BY_NAME[name].make()
    pair = draw(model, 1), draw(model, 2)
    xs, ys = [-1.0, 0.0, 0.5], [0.0, 2.0]
    with no_trace(model, batch):
        found = landscape_plane(model, loss, batch, xs, ys, directions=pair)
    assert found.losses.shape == (2, 3)
    assert (found.xs.tolist(), found.ys.tolist()) == (xs, ys)
    state = torch.get_rng_state()
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            torch.set_rng_state(state)
            truth = loss(shifted(model, (x, pair[0]), (y, pair[1])), batch).item()
            assert found.losses[row, column].item() == pytest.approx(truth, rel=1e-12)
    torch.set_rng_state(state)
    assert found.losses[0, 1] == found.loss
    flat = [torch.cat([d.reshape(-1) for d in one]) for one in pair]
    assert found.lengths == pytest.approx([one.norm().item() for one in flat])
    assert found.cosine == pytest.approx(torch.nn.functional.cosine_similarity(*flat, dim=0).item())
    assert found.scalars()["loss_range"] == found.losses.max().item() - found.losses.min().item()


def test_a_trajectory_is_projected_on_the_plane() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    pair = draw(model, 1), draw(model, 2)
    inside = shifted(model, (0.3, pair[0]), (-0.2, pair[1]))
    # across both: what Gram-Schmidt leaves of a third direction
    q, _ = torch.linalg.qr(torch.stack([torch.cat([d.reshape(-1) for d in one]) for one in (*pair, draw(model, 3))], 1))
    across = [
        part.view(p.shape)
        for part, p in zip(q[:, 2].split([p.numel() for p in model.parameters()]), model.parameters(), strict=True)
    ]
    outside = shifted(inside, (4.0, across))
    points = [[p.detach() for p in inside.parameters()], outside.state_dict()]
    found = landscape_plane(model, loss, batch, [0.0], [0.0], directions=pair, trajectory=points)
    assert found.trajectory.flatten().tolist() == pytest.approx([0.3, -0.2, 0.3, -0.2], abs=1e-12)
    assert found.distances.tolist() == pytest.approx([0.0, 4.0], abs=1e-12)
    principal = landscape_plane(model, loss, batch, [0.0], [0.0], directions="trajectory", trajectory=points)
    assert principal.distances.tolist() == pytest.approx([0.0, 0.0], abs=1e-12)  # two points and w span the plane
    assert principal.lengths == pytest.approx((1.0, 1.0))
    assert principal.cosine == pytest.approx(0.0, abs=1e-12)


def test_random_planes_and_the_number_of_evaluations() -> None:
    model, loss, batch = BY_NAME["batch_cnn"].make()
    calls: list[bool] = []

    def counted(m: nn.Module, b: object) -> Tensor:
        calls.append(torch.is_grad_enabled())
        return loss(m, b)

    for directions in ("filter", "random"):
        calls.clear()
        found = landscape_plane(model, counted, batch, [-1.0, 1.0], [0.5, 1.0, 2.0], directions=directions)
        assert calls == [True, *[False] * 6, True]
        assert found.losses.isfinite().all()
        again = landscape_plane(model, loss, batch, [-1.0, 1.0], [0.5, 1.0, 2.0], directions=directions)
        assert torch.equal(found.losses, again.losses)  # drawn from the global state, which is not consumed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"xs": []}, ValueError, "xs is empty"),
        ({"directions": "gradient"}, ValueError, "directions must be one of filter, random, trajectory"),
        ({"directions": 3}, TypeError, "pair of lists"),
        ({"directions": "trajectory"}, ValueError, "at least two points"),
        ({"directions": (torch.eye(2),)}, TypeError, r"pair of lists, got \(tensor\(.*\),\)$"),
        ({"directions": (3, [torch.eye(2)])}, TypeError, r"^directions\[0\] must be a list of tensors .*, got 3$"),
        ({"trajectory": 3}, TypeError, r"^trajectory must be a list of weights .* or a state dict\), got 3$"),
        ({"trajectory": torch.zeros(2, 5)}, TypeError, r"^trajectory must be a list of weights .*, got tensor\(.*\)$"),
        ({"trajectory": np.zeros((2, 5))}, TypeError, r"^trajectory must be a list of weights .*, got array\(.*\)$"),
        ({"trajectory": (w for w in [{}])}, TypeError, "^trajectory must be a list of weights .*, got <generator"),
        ({"trajectory": nn.Linear(2, 1).state_dict()}, TypeError, "^trajectory must be a list of weights .*, got Ord"),
        ({"trajectory": "best.pt", "directions": "trajectory"}, TypeError, "^trajectory must be .*, got 'best.pt'$"),
        ({"trajectory": [3]}, TypeError, r"^trajectory\[0\] must be a list of tensors .*, got 3$"),
        ({"trajectory": [{}]}, ValueError, r"trajectory\[0\] has no weights for '0.weight'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch), pytest.raises(error, match=message) as caught:
        landscape_plane(model, loss, batch, **{"xs": [0.0], "ys": [0.0], **arguments})
    assert "\n" not in str(caught.value)


def test_parallel_directions_are_refused_and_divergence_is_kept() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    one = draw(model, 1)
    with pytest.raises(ValueError, match="parallel"):
        landscape_plane(model, loss, batch, [0.0], [0.0], directions=(one, [2 * d for d in one]))
    found = landscape_plane(model, lambda m, b: loss(m, b) ** 9, batch, [0.0, 1e300], [0.0])
    assert not found.losses.isfinite().all()
    assert any("not finite at 1 of 2 points" in note for note in found.notes)
