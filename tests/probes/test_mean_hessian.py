"""The Hessian of the mean loss over several batches, beside the mean of dense Hessians."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from normlab.probes import spectral_density, top_eigenvalues
from tests.reference import twins
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


def halves(batch: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(batch[0][:3], batch[1][:3]), (batch[0][3:], batch[1][3:])]


def mean_hessian(model: Any, loss: Any, batches: Any) -> Tensor:
    return torch.stack([twins.hessian(model, loss, one) for one in batches]).mean(0)


@pytest.mark.parametrize("name", ["batch_mlp", "mlp", "dropout"])
def test_eigenvalues_of_the_mean_hessian(name: str) -> None:
    model, loss, batch = BY_NAME[name].make()
    batches = halves(batch)
    truth = torch.linalg.eigvalsh(mean_hessian(model, loss, batches))
    with no_trace(model, batches):
        found = top_eigenvalues(model, loss, batches=iter(batches), k=2, tol=1e-8, hessian="mean")
    assert found.values.tolist() == pytest.approx(truth.flip(0)[:2].tolist(), rel=1e-6)  # the twin's differences: 1e-9
    smallest = top_eigenvalues(model, loss, batches=batches, tol=1e-8, which="smallest", hessian="mean")
    assert smallest.values.item() == pytest.approx(truth[0].item(), rel=1e-6)
    coupled = any("each batch has its own statistics" in note for note in found.notes)
    assert coupled is (name == "batch_mlp")


def test_without_coupling_it_is_the_hessian_of_all_samples_and_with_it_is_not() -> None:
    for name, same in (("mlp", True), ("batch_mlp", False)):
        model, loss, batch = BY_NAME[name].make()
        mean = top_eigenvalues(model, loss, batches=halves(batch), tol=1e-8, hessian="mean").values.item()
        whole = top_eigenvalues(model, loss, batch, tol=1e-8).values.item()
        assert (mean == pytest.approx(whole, rel=1e-6)) is same


def test_the_density_of_the_mean_hessian_has_its_ends_and_mean() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    batches = halves(batch)
    truth = torch.linalg.eigvalsh(mean_hessian(model, loss, batches))
    with no_trace(model, batches):
        found = spectral_density(model, loss, batches=batches, vectors=3, steps=20, hessian="mean")
    assert found.scalars()["high"] == pytest.approx(truth.max().item(), rel=1e-6)
    assert found.scalars()["low"] == pytest.approx(truth.min().item(), rel=1e-6)
    assert torch.trapezoid(found.density, found.grid).item() == pytest.approx(1.0, abs=1e-6)  # tails beyond 6 widths


def test_each_batchs_own_spectrum_and_its_spread() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    loader = DataLoader(TensorDataset(*batch), batch_size=3)
    single = [torch.linalg.eigvalsh(twins.hessian(model, loss, one)).max() for one in halves(batch)]
    found = top_eigenvalues(model, loss, batches=loader, tol=1e-8)
    assert [one.values.item() for one in found.per_batch] == pytest.approx([s.item() for s in single], rel=1e-6)
    assert found.spread["values/0"] == pytest.approx(torch.stack(single).std().item(), rel=1e-5)
    densities = spectral_density(model, loss, batches=loader, vectors=1, steps=20)
    grid = torch.linspace(-1.0, 3.0, 7, dtype=torch.float64)
    for one in densities.per_batch:
        assert one.at(one.grid).tolist() == one.density.tolist()
        assert one.at(grid).shape == (7,)
    line = densities.plot().get_lines()[-1]
    low = min(one.grid.min().item() for one in densities.per_batch)
    assert line.get_xdata()[0] == low
    assert line.get_ydata()[0] == pytest.approx(
        sum(one.at(torch.tensor([low])).item() for one in densities.per_batch) / 2
    )


def test_a_state_that_a_batch_leaves_is_not_seen_by_the_next() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    calls: list[Tensor] = [torch.ones((), dtype=torch.float64)]

    def drifting(m: Any, b: Any) -> Tensor:
        calls[0] *= 2  # a tensor that only the loss function holds is part of the state
        return loss(m, b) * calls[0]

    found = top_eigenvalues(model, drifting, batches=halves(batch), tol=1e-8, hessian="mean")
    plain = top_eigenvalues(model, loss, batches=halves(batch), tol=1e-8, hessian="mean")
    assert found.values.item() == pytest.approx(2 * plain.values.item(), rel=1e-6)
    assert calls[0].item() == 1.0


def test_bad_arguments_are_named() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    with pytest.raises(ValueError, match="'each' or 'mean', got 'sum'"):
        top_eigenvalues(model, loss, batch, hessian="sum")
    with pytest.raises(ValueError, match="give batches="):
        spectral_density(model, loss, batch, hessian="mean")
    with pytest.raises(ValueError, match="batches is empty"):
        top_eigenvalues(model, loss, batches=[], hessian="mean")
