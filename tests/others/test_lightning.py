"""The callback in a real Lightning training, and case 23: the optimizers that Lightning hands out."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tests.integrations import training
from torch import Tensor
from torch.utils.data import DataLoader

from normlab.integrations.lightning import ProbeCallback
from normlab.integrations.loggers import CsvLogger
from normlab.probes import covariate_shift


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = training.network()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def configure_optimizers(self) -> Any:
        return training.sgd(self.net)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = training.loss_fn(self.net, batch)
        self.log("loss", loss)
        return loss


class Seeded(pl.Callback):
    """The plain loop has no loader that draws a seed."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            torch.manual_seed(11)


def fit(module: pl.LightningModule, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[Seeded(), *callbacks], **{"logger": False, **quiet, **options}
    )
    trainer.fit(module, DataLoader(training.batches(), batch_size=None))
    return trainer


@pytest.mark.parametrize("whole", [True, False])
def test_it_finds_what_a_plain_loop_finds_and_changes_nothing(whole: bool, tmp_path: Path) -> None:
    rows, trained = training.plain()
    module = Net()
    logger = CSVLogger(tmp_path, name="csv", version="")
    with CsvLogger(tmp_path / "probes.csv") as table:
        callback = ProbeCallback(
            training.loss_fn,
            lambda trainer, module: training.probes(trainer.optimizers[0]),
            model=(lambda module: module) if whole else (lambda module: module.net),
            every=training.EVERY,
            log=[table],
        )
        fit(module, callback, logger=logger)
    found = [{name.replace("net.", ""): value for name, value in row.items()} for row in callback.rows]
    assert found == rows  # the same bits: same weights, batch, random draws
    assert training.same_weights(module.net, trained)
    assert "walk/effective_beta" in (tmp_path / "csv" / "metrics.csv").read_text()
    assert (tmp_path / "probes.csv").read_text().count("walk/loss,") == len(rows)


def test_a_probed_training_is_an_unprobed_one() -> None:
    bare, probed = Net(), Net()
    fit(bare)
    fit(probed, ProbeCallback(training.loss_fn, training.probes(training.sgd(probed.net)), every=1))
    assert training.same_weights(bare, probed)


def test_updates_are_counted_and_the_first_batch_of_each_is_probed() -> None:
    module = Net()
    callback = ProbeCallback(training.loss_fn, {"loss": lambda m, f, b: f(m, b).item()}, every=1)
    fit(module, callback, accumulate_grad_batches=2)
    assert [row["step"] for row in callback.rows] == [0, 1]


def test_wrong_probes_are_refused_when_the_callback_is_made() -> None:
    with pytest.raises(ValueError, match="probes is empty"):
        ProbeCallback(training.loss_fn, {})


def test_case_23_lightnings_own_optimizer_gives_the_shift_of_the_one_inside() -> None:
    found: dict[str, Any] = {}

    class Probed(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if not found:
                handed = self.optimizers()
                for name, optimizer in (("wrapped", handed), ("inside", handed.optimizer)):
                    found[name] = covariate_shift(self.net, training.loss_fn, batch, optimizer=optimizer)
                found["plain"] = covariate_shift(self.net, training.loss_fn, batch, learning_rate=0.1)
            return super().training_step(batch, batch_idx)

    fit(Probed())
    assert found["plain"]["4"].l2 > 0
    for name in ("wrapped", "inside"):  # the first step of momentum is a plain one
        for layer, shift in found["plain"].items():
            assert found[name][layer].l2 == pytest.approx(shift.l2, rel=1e-6), (name, layer)
            assert found[name][layer].cosine == pytest.approx(shift.cosine, rel=1e-6)
