"""Training: what it records is what happened, a step can be replayed, and divergence is a result."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny
from torch.nn import functional as F

from normlab.runs import training
from normlab.runs.checkpoint import Checkpoint
from normlab.runs.networks import build_network, build_optimizer, resolve_device
from normlab.runs.training import HISTORY, History, Progress, fit, l2_penalty, train_step
from normlab.specs.parts import names
from normlab.specs.strict import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def _fit(data: Path, **spec: object) -> tuple[History, dict[int, Checkpoint]]:
    run = tiny.run_spec(**spec)  # type: ignore[arg-type]
    batches, test = tiny.load(data, run.seed)
    kept: dict[int, Checkpoint] = {}

    def keep(checkpoint: Checkpoint) -> None:
        copied = {name: tensor.clone() for name, tensor in checkpoint.model.items()}
        kept[checkpoint.step] = Checkpoint(checkpoint.step, checkpoint.spec, copied, checkpoint.optimizer)

    return fit(run, batches, test, on_checkpoint=keep), kept


def test_history_agrees_with_a_loop_written_out(data: Path) -> None:
    """The same numbers from torch alone: no library code but the network and the batches."""
    run = tiny.run_spec("batch", weight_decay=0.01)
    batches, test = tiny.load(data)
    model = build_network(run, 3).train()
    rows = []
    for step in range(run.train.steps):
        inputs, targets = batches.at(step)
        loss = F.cross_entropy(model(inputs), targets)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        squares = sum(float(p.detach().double().square().sum()) for p in model.parameters())
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        rows.append((loss.item(), loss.item() + 0.5 * 0.01 * squares, norm))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= run.learning_rate * (gradient + 0.01 * parameter)
    history = fit(run, batches, test)
    recorded = history.steps[["loss", "penalized_loss", "grad_norm"]].to_numpy()
    # float32 arithmetic in a different order, six steps deep
    np.testing.assert_allclose(recorded, rows, rtol=2e-4)
    assert history.diverged_at is None


def test_the_same_spec_gives_the_same_bits_and_checkpoints_come_before_their_step(data: Path) -> None:
    history, kept = _fit(data, norm_layer="noisy_batch")
    again, _ = _fit(data, norm_layer="noisy_batch")
    assert history.steps.equals(again.steps)
    assert history.test.equals(again.test)
    assert list(kept) == [0, 1, 2, 4, 6]
    assert list(history.test["step"]) == [0, 3, 6]
    start = build_network(tiny.run_spec("noisy_batch"), 3)
    assert tiny.same_state(kept[0].model, start.state_dict())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("norm_layer", ["noisy_batch", "linf"])
def test_a_step_replayed_from_its_checkpoint_and_batch_is_the_step_that_was_made(
    data: Path, norm_layer: str, momentum: float
) -> None:
    run = tiny.run_spec(norm_layer, momentum=momentum, checkpoint_every=1)
    batches, test = tiny.load(data)
    recorded = []
    model = build_network(run, 3).train()
    optimizer = build_optimizer(model, run)

    def replay(checkpoint: Checkpoint) -> None:
        # each checkpoint alone: only its own state and its batch enter
        if checkpoint.step < run.train.steps:
            model.load_state_dict(checkpoint.model)
            optimizer.load_state_dict(checkpoint.optimizer)
            recorded.append(train_step(model, optimizer, run, batches.at(checkpoint.step), checkpoint.step))

    history = fit(run, batches, test, on_checkpoint=replay)
    columns = ["loss", "penalized_loss", "train_accuracy", "grad_norm"]
    assert np.array_equal(torch.stack(recorded).double().numpy(), history.steps[columns].to_numpy())


def test_what_a_caller_does_between_steps_changes_nothing(data: Path) -> None:
    run = tiny.run_spec("noisy_batch")
    batches, test = tiny.load(data)
    quiet = fit(run, batches, test)
    noisy = fit(run, batches, test, on_step=lambda step, values: torch.rand(7))  # type: ignore[arg-type, return-value]
    assert quiet.steps.equals(noisy.steps)


def test_divergence_is_recorded_and_ends_the_run(data: Path) -> None:
    history, kept = _fit(data, norm_layer="none", learning_rate=1e12, steps=40, checkpoint_every=10)
    assert history.diverged_at is not None
    assert history.diverged_at == len(history.steps) - 1
    assert not np.isfinite(history.steps.iloc[-1][["loss", "grad_norm"]]).all()
    assert np.isfinite(history.steps.iloc[:-1][["loss", "grad_norm"]]).all(axis=None)
    assert max(kept) <= history.diverged_at
    assert list(history.test["step"])[-1] == history.diverged_at + 1


def test_seeds_are_paired_across_normalizers(data: Path) -> None:
    """Same initial weights where names and shapes agree, and the same batches: only the normalizer differs."""
    plain = build_network(tiny.run_spec("none"), 3).state_dict()
    for kind in names("normalizer"):
        state = build_network(tiny.run_spec(kind), 3).state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in plain.items()), kind
    other = build_network(tiny.run_spec("none", seed=1), 3).state_dict()
    assert not torch.equal(other["features.conv1.weight"], plain["features.conv1.weight"])


def test_training_learns(data: Path) -> None:
    history, _ = _fit(data, steps=30, test_every=30)
    # three colors: chance is 1/3, and an untrained network does not get there by luck from a falling loss
    assert history.steps["loss"].tail(5).mean() < 0.5 * history.steps["loss"].head(3).mean()
    assert history.steps["train_accuracy"].tail(5).mean() > 0.8


def test_the_penalty_is_what_weight_decay_adds() -> None:
    model = torch.nn.Linear(3, 2).double()
    penalty = l2_penalty(model, 0.3)
    gradients = torch.autograd.grad(penalty, list(model.parameters()))
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, 0.3 * parameter.detach(), rtol=1e-14, atol=0)


def test_the_device_is_chosen_or_refused() -> None:
    assert resolve_device("auto").type in ("cpu", "cuda")
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r"train\.device: 'cuda:63' is not available"):
        resolve_device("cuda:63")


def _row(value: float) -> torch.Tensor:
    return torch.tensor([1.0, 1.0, value, 1.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_divergence_is_found_in_what_was_not_yet_read_and_stays_the_first(bad: float) -> None:
    progress = Progress(6, "cpu")
    for value in (1.0, 2.0):
        progress.add(_row(value))
    progress.read()
    for value in (3.0, bad):
        progress.add(_row(value))
    progress.read(at_least=3)
    assert progress.diverged_at is None  # two are not enough to be read
    progress.read(at_least=2)
    assert progress.diverged_at == 3
    progress.add(_row(bad))
    progress.read()
    assert (progress.diverged_at, progress.step) == (3, 5)


def test_progress_goes_on_where_its_state_was_taken() -> None:
    progress, again = Progress(4, "cpu"), Progress(4, "cpu")
    progress.add(_row(1.0))
    progress.read()
    progress.add(_row(math.nan))
    state = progress.state_dict()
    again.load_state_dict(state)
    assert (again.step, state["values"].shape) == (2, (2, len(HISTORY)))
    again.read(at_least=2)
    assert again.diverged_at is None  # the first one was read before
    again.read(at_least=1)
    assert again.diverged_at == 1
    assert again.values[2:].isnan().all()


def test_who_looks_at_the_training_is_told_the_values_of_every_so_many_updates(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "FLUSH_EVERY", 2)
    told: dict[int, dict[str, float] | None] = {}
    batches, test = tiny.load(data)
    history = fit(tiny.run_spec("none"), batches, test, on_step=told.__setitem__)
    rows = history.steps[list(HISTORY)].to_dict("records")
    assert told == {step: rows[step] if step in (1, 3, 5) else None for step in range(6)}


def test_a_training_that_diverged_is_not_tested_or_kept_again_before_it_ends(data: Path) -> None:
    """Values are read every 25 updates, and before every test and checkpoint."""
    run = tiny.run_spec("none", 1e12, steps=40, test_every=10, checkpoint_every=40, checkpoint_at=())
    batches, test = tiny.load(data)
    updates: list[int] = []
    kept: list[int] = []
    history = fit(
        run, batches, test, on_checkpoint=lambda c: kept.append(c.step), on_step=lambda step, _: updates.append(step)
    )
    assert history.diverged_at is not None
    assert history.diverged_at < 10
    assert updates == list(range(10))
    assert kept == [0]
    assert list(history.test["step"]) == [0, history.diverged_at + 1]


def test_the_optimizer_has_the_settings_of_the_run() -> None:
    run = tiny.run_spec("none", 0.3, momentum=0.9, weight_decay=0.01)
    (group,) = build_optimizer(torch.nn.Linear(2, 1), run).param_groups
    kept = {key: group[key] for key in ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")}
    assert kept == {
        "lr": 0.3,
        "momentum": 0.9,
        "dampening": 0,
        "weight_decay": 0.01,
        "nesterov": False,
        "maximize": False,
    }
    assert len(group["params"]) == 2
