"""Training: a plain loop of SGD steps that records what it sees and keeps the states that the probes need."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.data.images import Batches, ImageSplit
from normlab.runs.arithmetic import forward_in, training_in
from normlab.runs.checkpoint import Checkpoint
from normlab.runs.evaluation import Evaluation
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.resume import ResumePoints
from normlab.seeding import seed_all
from normlab.specs.training import RunSpec

HISTORY = ("loss", "penalized_loss", "train_accuracy", "grad_norm")
FLUSH_EVERY = 25  # steps between two readings of device values: a reading stalls a GPU


@dataclass(frozen=True)
class History:
    """What `fit` saw.

    Attributes:
        steps: a row an update: step, loss (mean cross-entropy of the step's batch before the update), penalized_loss
            (loss + ½·weight_decay·‖w‖²), train_accuracy (of that batch, in [0, 1]), grad_norm (‖∇loss‖₂).
        test: step, test_loss, test_accuracy on the whole test split, and with noise blocks the further columns of
            `normlab.runs.evaluation`; `step` updates were made before.
        held_out: step, held_out_loss, held_out_accuracy, … on the images set apart, or None if there are none.
        diverged_at: the first step whose loss or gradient was not finite (training stops there), or None.
    """

    steps: pd.DataFrame
    test: pd.DataFrame
    diverged_at: int | None
    held_out: pd.DataFrame | None = None


class Progress:
    """How far a training has come: with model, optimizer and scores, all that the rest of it depends on.

    Args:
        steps: how many updates there will be.
        device: where the values of the updates are kept.

    Attributes:
        step: updates made.
        values: (steps, 4), a row of `HISTORY` an update.
        diverged_at: the first update with a loss or gradient that is not finite, as far as they have been read.
    """

    def __init__(self, steps: int, device: torch.device | str) -> None:
        self.step = 0
        self.values = torch.full((steps, len(HISTORY)), math.nan, device=device)
        self.diverged_at: int | None = None
        self._read = 0

    def add(self, values: Tensor) -> None:
        """Take the values of the next update."""
        self.values[self.step] = values
        self.step += 1

    def read(self, at_least: int = 1) -> None:
        """Look for divergence in the values that were not yet read, if they are `at_least` so many."""
        if self.step - self._read >= at_least:
            bad = ~torch.isfinite(self.values[self._read : self.step]).all(dim=1)
            if self.diverged_at is None and bool(bad.any()):
                self.diverged_at = self._read + int(bad.nonzero()[0])
            self._read = self.step

    def state_dict(self) -> dict[str, Any]:
        """The updates made so far, and how many of them were read."""
        return {"step": self.step, "read": self._read, "values": self.values[: self.step].cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the updates of `state`, in which nothing has diverged."""
        self.step, self._read = state["step"], state["read"]
        self.values[: self.step] = state["values"].to(self.values.device)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The training loss f(w; B): mean cross-entropy of the model's logits on (inputs, targets)."""
    inputs, targets = batch
    return F.cross_entropy(model(inputs), targets)


def l2_penalty(model: nn.Module, weight_decay: float) -> Tensor:
    """½·weight_decay·‖w‖² over all parameters: the term whose gradient SGD's weight decay adds."""
    total = torch.stack([parameter.square().sum() for parameter in model.parameters()]).sum()
    return 0.5 * weight_decay * total


def fit(
    run: RunSpec,
    batches: Batches,
    test: ImageSplit,
    *,
    held_out: ImageSplit | None = None,
    device: torch.device | str = "cpu",
    on_checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None,
    on_step: Callable[[int, dict[str, float] | None], None] = lambda step, values: None,
    resume: ResumePoints | None = None,
) -> History:
    """Train the network of `run` for `run.train.steps` updates on `batches.at(0), batches.at(1), …`.

    Randomness inside a step (Dropout, noisy BatchNorm) starts from the stream ("noise", step) of the seed, so a step
    can be replayed from its checkpoint and batch alone, and nothing done between steps can change it.

    Updates are made in the arithmetic of `train.precision` (`normlab.runs.arithmetic`), scores are always in float32.

    Args:
        run: the spec.
        batches: the training batches, on `device`.
        test: the test split, on `device`; it is only ever reported, nothing is chosen by it.
        held_out: images set apart from the training split, on `device`; reported like the test split.
        device: where to train.
        on_checkpoint: called with the state before every step of the probe schedule, and with the final state.
        on_step: called after every update with the step and, every few steps, the latest finite-or-not values.
        resume: where the training goes on if it was stopped, and leaves its state now and then; the history then covers
            all steps, and no callback is called again for what was made before.

    Returns:
        The history. A non-finite loss or gradient is a result: it is the last row, and `diverged_at` names it.
    """
    model = build_network(run, len(test.classes), device).train()
    optimizer = build_optimizer(model, run)
    progress = Progress(run.train.steps, device)
    evaluation = Evaluation(batches, {"test": test} | ({} if held_out is None else {"held_out": held_out}))
    if resume is not None:
        resume.add(model=model, optimizer=optimizer, progress=progress, evaluation=evaluation)
        resume.restore()
    schedule = set(run.train.checkpoint_steps)
    for step in range(progress.step, run.train.steps):
        tested = step % run.train.test_every == 0
        progress.read(at_least=1 if tested or step in schedule else FLUSH_EVERY)
        if progress.diverged_at is not None:
            break
        if tested:
            evaluation.record(step, model)
        if step in schedule:
            on_checkpoint(_checkpoint(step, run, model, optimizer))
        progress.add(train_step(model, optimizer, run, batches.at(step), step, run.train.precision))
        on_step(step, _values(progress.values, step) if (step + 1) % FLUSH_EVERY == 0 else None)
        if resume is not None:
            resume.save_if_due(progress.step)
    progress.read()
    diverged_at = progress.diverged_at
    rows = progress.step if diverged_at is None else diverged_at + 1
    if diverged_at is None:
        on_checkpoint(_checkpoint(rows, run, model, optimizer))
    evaluation.record(rows, model)
    apart = None if held_out is None else evaluation.frame("held_out")
    return History(_steps_frame(progress.values[:rows]), evaluation.frame("test"), diverged_at, apart)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: RunSpec,
    batch: tuple[Tensor, Tensor],
    step: int,
    precision: str = "float32",
) -> Tensor:
    """Make update `step` on `batch`, in arithmetic of `precision`; the values of `HISTORY` as a tensor on the device.

    The loss is taken from the logits in float32 at least; weights, gradients and the update are in the model's type.
    """
    seed_all(run.seed, "noise", step)
    inputs, targets = batch
    optimizer.zero_grad(set_to_none=True)
    with training_in(precision):
        with forward_in(precision, inputs.device):
            logits = model(inputs)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = F.cross_entropy(logits, targets)
        loss.backward()
    with torch.no_grad():
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        grad_norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        penalized = loss + l2_penalty(model, run.train.weight_decay)
        accuracy = (logits.argmax(1) == targets).float().mean()
    optimizer.step()
    return torch.stack([loss.detach(), penalized, accuracy, grad_norm])


def _values(record: Tensor, step: int) -> dict[str, float]:
    return dict(zip(HISTORY, record[step].tolist(), strict=True))


def _checkpoint(step: int, run: RunSpec, model: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    return Checkpoint(step, run.as_dict(), model.state_dict(), optimizer.state_dict())


def _steps_frame(record: Tensor) -> pd.DataFrame:
    frame = pd.DataFrame(record.cpu().double().numpy(), columns=list(HISTORY))
    frame.insert(0, "step", range(len(frame)))
    return frame
