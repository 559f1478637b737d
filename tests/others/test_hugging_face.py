"""The callback in a real training by the Trainer of transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from normlab.integrations.hugging_face import ProbeCallback, own_loss
from normlab.probes import directional_curvature, landscape

CONFIG = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3
)


class Sentences(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, Any]:
        draws = torch.Generator().manual_seed(index)
        return {"input_ids": torch.randint(20, (5,), generator=draws), "labels": index % 3}


def train(folder: Path, *callbacks: Any, **options: Any) -> Trainer:
    torch.manual_seed(0)
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=4, num_train_epochs=1, report_to=[], use_cpu=True, disable_tqdm=True,
        save_strategy="no", **options,
    )  # fmt: skip
    trainer = Trainer(
        BertForSequenceClassification(CONFIG), arguments, train_dataset=Sentences(), callbacks=list(callbacks)
    )
    trainer.train()
    return trainer


def curvature(model: Any, loss: Any, batch: Any) -> Any:
    return directional_curvature(model, loss, batch)


def test_it_probes_the_updates_own_batch_and_changes_nothing(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    rows: list[Any] = []

    def walk(model: Any, loss: Any, batch: Any) -> Any:
        seen.append(batch)
        return landscape(model, loss, batch, [0.1])

    callback = ProbeCallback({"walk": walk, "curvature": curvature}, every=2, log=[lambda *row: rows.append(row)])
    probed, bare = train(tmp_path, callback), train(tmp_path)
    assert [row["step"] for row in callback.rows] == [0, 2] == [step for step, _ in rows]
    assert {"input_ids", "labels"} <= seen[0].keys()
    logged = [entry for entry in probed.state.log_history if "walk/loss" in entry]
    assert logged == callback.rows
    for one, other in zip(probed.model.parameters(), bare.model.parameters(), strict=True):
        assert torch.equal(one, other)
    # the first batch at the first weights, in training mode, with the draws of a forward pass there
    torch.manual_seed(0)
    model = BertForSequenceClassification(CONFIG)
    assert callback.rows[0]["walk/loss"] == pytest.approx(own_loss(model, seen[0]).item(), abs=0.2)  # dropout
    assert not model._forward_pre_hooks
    assert not probed.model._forward_pre_hooks


def test_mixed_precision_is_off_in_a_probe(tmp_path: Path) -> None:
    callback = ProbeCallback({"walk": lambda m, f, b: landscape(m, f, b, [0.1])}, every=1)
    trainer = train(tmp_path, callback, bf16=True)
    assert len(callback.rows) == 4
    assert hasattr(trainer.model, "_original_forward")  # Accelerate has wrapped it
    model, batch = trainer.model, {"input_ids": torch.arange(10).view(2, 5), "labels": torch.tensor([0, 1])}
    model.forward = model._original_forward
    plain = landscape(model, own_loss, batch, [0.1])
    assert plain.loss == landscape(trainer.model, own_loss, batch, [0.1]).loss


def test_a_training_that_failed_leaves_one_hook_and_the_next_none(tmp_path: Path) -> None:
    failing = ProbeCallback({"walk": lambda m, f, b: landscape(m, f, b, [])}, every=1)
    with pytest.raises(ValueError, match="step_sizes"):
        train(tmp_path, failing)
    model = BertForSequenceClassification(CONFIG)
    for _ in range(2):
        failing.on_train_begin(None, None, None, model=model)
        assert len(model._forward_pre_hooks) == 1
    failing.on_train_end(None, None, None)
    assert not model._forward_pre_hooks


def test_the_optimizer_is_given_to_probes_that_need_it(tmp_path: Path) -> None:
    callback = ProbeCallback(
        lambda model, optimizer: {"walk": lambda m, f, b: landscape(m, f, b, [1.0], optimizer=optimizer)}, every=4
    )
    train(tmp_path, callback, gradient_accumulation_steps=2)
    assert len(callback.rows) == 1
    assert callback.rows[0]["walk/grad_norm"] > 0
