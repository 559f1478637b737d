"""What training frameworks hang on a model is taken off for the time of a probe, and put back."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import CheckpointFunction, checkpoint

from normlab.probes import landscape
from normlab.probes.bare import bare
from tests.reference.functions import D, loss_fn, vectors


class Marked(nn.SyncBatchNorm):
    """With a forward pass of its own, which is part of the model."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def test_synchronized_batch_norm_takes_the_statistics_of_its_own_batch() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 3, **D), nn.BatchNorm1d(3, **D))
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    expected, found = (landscape(model, loss_fn, vectors(), [0.3]) for model in (plain, synchronized))
    assert (found.loss, found.losses.tolist()) == (expected.loss, expected.losses.tolist())


def test_a_forward_pass_of_its_own_stays() -> None:
    taken, marked = nn.SyncBatchNorm(3, **D), Marked(3, **D)
    with bare([taken, marked]):
        assert taken.forward.__func__ is nn.BatchNorm1d.forward
        assert marked.forward.__func__ is Marked.forward
    assert "forward" not in taken.__dict__


def test_what_accelerate_wrapped_is_the_forward_pass_meanwhile_and_wrapped_again_afterwards() -> None:
    layer = nn.Linear(2, 2)
    original, layer.forward = layer.forward, lambda x: x
    layer._original_forward = original
    wrapped = layer.forward
    with bare([layer]):
        assert layer.forward is original
    assert layer.forward is wrapped


class Checkpointed(nn.Module):
    """Dropout and a linear layer under the reentrant checkpoint, which gives parameters behind it no gradient."""

    def __init__(self, keeps_draws: bool) -> None:
        super().__init__()
        self.linear, self.keeps_draws = nn.Linear(40, 1, bias=False, **D), keeps_draws

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.nn.functional.dropout(x, 0.5))  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = checkpoint(self.inner, x, use_reentrant=True, preserve_rng_state=self.keeps_draws)
        return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("keeps_draws", [True, False])
def test_a_reentrant_checkpoint_is_taken_the_other_way_with_the_draws_that_it_keeps(keeps_draws: bool) -> None:
    model, x, own = Checkpointed(keeps_draws), torch.ones(1, 40, **D), CheckpointFunction.__dict__.get("apply")
    torch.manual_seed(0)
    mask = torch.nn.functional.dropout(x, 0.5)
    torch.manual_seed(0)
    with bare(model.modules()):
        out = model(x)
        [slope] = torch.autograd.grad(out.sum(), model.linear.weight, create_graph=True)
    assert CheckpointFunction.__dict__.get("apply") is own
    assert out.item() == pytest.approx((model.linear.weight * mask).sum().item(), rel=1e-12)  # another order of sums
    assert torch.equal(slope, mask) == keeps_draws  # drawn anew, the mask of the backward pass is another one
    assert slope.tolist() != torch.zeros(1, 40).tolist()
