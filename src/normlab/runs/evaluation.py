"""What a network in training scores on images that it is not trained on."""

import copy
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from normlab.data.images import Batches, ImageSplit
from normlab.seeding import seed_all

STATISTICS_BATCHES = 16  # training batches that clean running statistics are averaged over


class Evaluation:
    """Scores of a run on the test split, and on the images held out of training where there are any.

    A network with noise blocks (noisy BatchNorm, or the noise alone) is scored in up to three ways, because the paper
    does not say what happens at test time:

    - `test_loss`, `test_accuracy`: without noise, but with the running statistics that training gathered under noise;
    - `test_loss_noise`, `test_accuracy_noise`: with the same statistics, and noise of the stream ("test_noise", step);
    - `test_loss_clean`, `test_accuracy_clean`: without noise, and with running statistics gathered anew without noise,
      their plain average over the first 16 training batches; only where there are running statistics.

    Args:
        batches: the run's training batches.
        splits: name → images; the names begin the names of the quantities.
    """

    def __init__(self, batches: Batches, splits: dict[str, ImageSplit]) -> None:
        self.batches, self.splits = batches, splits
        self._rows: dict[str, list[dict[str, float]]] = {name: [] for name in splits}

    def record(self, step: int, model: nn.Module) -> None:
        """Score the model, in train mode and after `step` updates, on every split; it stays as it is."""
        variants = {"": model.eval(), **_noise_variants(model, self.batches)}
        for name, split in self.splits.items():
            row: dict[str, float] = {"step": step}
            for suffix, network in variants.items():
                seed_all(self.batches.seed, "test_noise", step)
                loss, accuracy = score(network, split)
                row |= {f"{name}_loss{suffix}": loss, f"{name}_accuracy{suffix}": accuracy}
            self._rows[name].append(row)
        model.train()

    def state_dict(self) -> dict[str, Any]:
        """The scores so far."""
        return {"rows": self._rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the scores of `state`."""
        self._rows = state["rows"]

    def frame(self, name: str) -> pd.DataFrame:
        """The scores on one split: a row a call of `record`, with the column `step` and one a quantity."""
        frame = pd.DataFrame(self._rows[name])
        return frame.astype({column: "int64" if column == "step" else "float64" for column in frame})


@torch.no_grad()
def score(model: nn.Module, split: ImageSplit, batch_size: int = 1000) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in [0, 1] on a whole split, in the mode that the model is in."""
    loss = torch.zeros((), dtype=torch.float64, device=split.labels.device)
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for inputs, targets in split.chunks(batch_size):
        logits = model(inputs)
        loss += F.cross_entropy(logits, targets, reduction="sum").double()
        correct += (logits.argmax(1) == targets).sum()
    return loss.item() / len(split), correct.item() / len(split)


def _noise_variants(model: nn.Module, batches: Batches) -> dict[str, nn.Module]:
    """Copies of the model in eval mode but for its noise ("_noise"), and with clean running statistics ("_clean")."""
    if not any(_is_noise(module) for module in model.modules()):
        return {}
    noisy, clean = copy.deepcopy(model), copy.deepcopy(model)
    for module in noisy.modules():
        module.training = _is_noise(module)
    with_statistics = [module for module in clean.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not with_statistics:
        return {"_noise": noisy}
    for module in with_statistics:
        module.reset_running_stats()
        module.momentum = None  # the plain average over all batches
    for module in clean.modules():
        module.training = not _is_noise(module)
    with torch.no_grad():
        for number in range(STATISTICS_BATCHES):
            clean(batches.at(number)[0])
    return {"_noise": noisy, "_clean": clean.eval()}


def _is_noise(module: nn.Module) -> bool:
    """Whether it is a block that adds noise in train mode; such blocks say so by an attribute, as `nn`'s `Noise` does.

    By attribute, so that no training imports (and depends on) the file of a normalizer that it does not use.
    """
    return getattr(module, "adds_noise", False) is True
