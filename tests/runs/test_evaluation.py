"""Scores on images that are not trained on, and the three ways to test a network with noise."""

import copy
from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import nn
from torch.nn import functional as F

from normlab.data.images import Batches, ImageSplit
from normlab.runs.evaluation import STATISTICS_BATCHES, Evaluation, score
from normlab.runs.networks import build_network
from normlab.runs.training import fit
from normlab.seeding import seed_all


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def _trained(data: Path, norm_layer: str) -> tuple[nn.Module, Batches, ImageSplit]:
    """A network after a few forward passes in train mode, so that its running statistics are those of its noise."""
    batches, test = tiny.load(data)
    model = build_network(tiny.run_spec(norm_layer), 3).double().train()
    seed_all(0, "noise", 0)
    with torch.no_grad():
        for number in range(3):
            model(batches.at(number)[0].double())
    return model, batches, test


def _in_double(batches: Batches) -> Batches:
    """The same batches in float64, so that a tolerance can be that of rounding."""
    found = copy.copy(batches)
    found.at = lambda step: (batches.at(step)[0].double(), batches.at(step)[1])  # type: ignore[method-assign]
    return found


class _DoubleSplit:
    def __init__(self, split: ImageSplit) -> None:
        self.split, self.labels = split, split.labels

    def __len__(self) -> int:
        return len(self.split)

    def chunks(self, size: int):
        return ((inputs.double(), targets) for inputs, targets in self.split.chunks(size))


def test_a_score_is_the_mean_over_all_images(data: Path) -> None:
    model, _, test = _trained(data, "batch")
    model.eval()
    split = _DoubleSplit(test)
    loss, accuracy = score(model, split, batch_size=7)  # type: ignore[arg-type]
    logits = model(test.normalize(test.images).double())
    # the same sum in other pieces, float64
    assert loss == pytest.approx(F.cross_entropy(logits, test.labels).item(), rel=1e-12)
    assert accuracy == (logits.argmax(1) == test.labels).double().mean().item()


def test_a_network_without_noise_is_scored_once_and_stays_as_it_is(data: Path) -> None:
    model, batches, test = _trained(data, "batch")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluation = Evaluation(_in_double(batches), {"test": _DoubleSplit(test), "held_out": _DoubleSplit(test)})  # type: ignore[dict-item]
    evaluation.record(3, model)
    assert list(evaluation.frame("test")) == ["step", "test_loss", "test_accuracy"]
    assert list(evaluation.frame("held_out")) == ["step", "held_out_loss", "held_out_accuracy"]
    assert tiny.same_state(before, model.state_dict())
    assert all(module.training for module in model.modules())


def test_noisy_batch_norm_is_scored_without_noise_with_it_and_with_clean_statistics(data: Path) -> None:
    model, batches, test = _trained(data, "noisy_batch")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluation = Evaluation(_in_double(batches), {"test": _DoubleSplit(test)})  # type: ignore[dict-item]
    evaluation.record(3, model)
    found = evaluation.frame("test").iloc[0]
    assert tiny.same_state(before, model.state_dict())
    assert all(module.training for module in model.modules())

    # the twins: the noise written out by a plain BatchNorm network with the same weights, statistics and draws
    inputs, targets = test.normalize(test.images).double(), test.labels
    plain = build_network(tiny.run_spec("batch"), 3).double()
    plain.load_state_dict(model.state_dict())
    losses = {"test_loss": F.cross_entropy(plain.eval()(inputs), targets).item()}
    seed_all(0, "test_noise", 3)
    hooks = [
        module.register_forward_hook(lambda m, a, out, noise=noise: noise.train()(out))
        for module, noise in zip(
            (m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)),
            (m.noise for m in model.modules() if isinstance(m, nn.BatchNorm2d)),
            strict=True,
        )
    ]
    losses["test_loss_noise"] = F.cross_entropy(plain(inputs), targets).item()
    for hook in hooks:
        hook.remove()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for number in range(STATISTICS_BATCHES):
        for module in plain.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1 / (number + 1)  # the running average is the plain average
        plain.train()(batches.at(number)[0].double())
    losses["test_loss_clean"] = F.cross_entropy(plain.eval()(inputs), targets).item()
    assert dict(found[list(losses)]) == pytest.approx(losses, rel=1e-9)  # float64, averages in another form
    assert len({round(value, 6) for value in losses.values()}) == 3


def test_the_noise_alone_has_no_statistics_to_gather_anew(data: Path) -> None:
    model, batches, test = _trained(data, "noise")
    evaluation = Evaluation(_in_double(batches), {"test": _DoubleSplit(test)})  # type: ignore[dict-item]
    evaluation.record(0, model)
    columns = ["test_loss", "test_accuracy", "test_loss_noise", "test_accuracy_noise"]
    assert list(evaluation.frame("test")) == ["step", *columns]


def test_scoring_does_not_disturb_the_training(data: Path) -> None:
    """With other test steps, and with images held out, the trajectory is the same bit for bit."""
    histories = []
    for test_every in (1, 6):
        run = tiny.run_spec("noisy_batch", test_every=test_every)
        batches, test = tiny.load(data)
        histories.append(fit(run, batches, test, held_out=test if test_every == 1 else None))
    assert histories[0].steps.equals(histories[1].steps)
    assert histories[0].held_out is not None
    assert list(histories[0].held_out["step"]) == [0, 1, 2, 3, 4, 5, 6]
    assert histories[0].held_out["held_out_loss"].equals(histories[0].test["test_loss"])
    assert histories[1].held_out is None
