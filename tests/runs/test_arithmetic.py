"""Reduced precision: in training alone, only where the processor has it, and float32 runs as they were."""

from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import nn

from normlab.nn import normalizer
from normlab.runs import arithmetic
from normlab.runs.arithmetic import check_precision, has_bf16, training_in
from normlab.runs.evaluation import score
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import train_step
from normlab.specs.parts import names
from normlab.specs.strict import InputError

CPU = torch.device("cpu")
BF16_EPS = 2.0**-8  # relative size of one rounding to bf16


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def test_layers_multiply_in_bf16_and_everything_else_is_float32(data: Path) -> None:
    run = tiny.run_spec("batch", precision="bf16")
    batches, test = tiny.load(data)
    model, seen = build_network(run, 3).train(), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, inputs, output: seen.append(output.dtype))
    optimizer = build_optimizer(model, run)
    values = train_step(model, optimizer, run, batches.at(0), 0, "bf16")
    assert set(seen) == {torch.bfloat16}
    assert values.dtype == torch.float32
    tensors = [*model.state_dict().values(), *(parameter.grad for parameter in model.parameters())]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    seen.clear()
    score(model.eval(), test)
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("norm_layer", names("normalizer"))
def test_one_step_in_bf16_is_near_the_same_step_in_float32(data: Path, norm_layer: str) -> None:
    run = tiny.run_spec(norm_layer, learning_rate=0.01)
    batches, _ = tiny.load(data)
    losses = []
    for precision in ("float32", "bf16"):
        model = build_network(run, 3).train()
        losses.append(train_step(model, build_optimizer(model, run), run, batches.at(0), 0, precision)[0].item())
    assert losses[0] != losses[1]
    # eight layers, one rounding each, and the noise is the same draw; without that the losses differ by 10 %
    assert losses[1] == pytest.approx(losses[0], rel=8 * BF16_EPS)


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
def test_statistics_of_reduced_inputs_are_taken_in_float32(kind: str) -> None:
    values = torch.linspace(100, 101, 8 * 2 * 9).view(8, 2, 3, 3).bfloat16()
    reduced, wide = (normalizer(kind, 2) for _ in range(2))
    found, expected = reduced(values), wide(values.float())
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())
    assert tiny.same_state(reduced.state_dict(), wide.state_dict())


def test_a_probe_steps_in_float32_whatever_the_run_was_trained_in(data: Path) -> None:
    batches, _ = tiny.load(data)
    found = []
    for precision in ("float32", "bf16"):
        run = tiny.run_spec("batch", precision=precision)
        model = build_network(run, 3).train()
        found.append(train_step(model, build_optimizer(model, run), run, batches.at(0), 0))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("flags", "spec", "refused"),
    [
        ({"avx512_bf16"}, {"precision": "bf16"}, ""),
        ({"amx_bf16"}, {"precision": "bf16"}, ""),
        ({"avx2"}, {"precision": "bf16"}, "train.precision: bf16 has no arithmetic on this cpu"),
        (set(), {"precision": "bf16"}, "train.precision: bf16 has no arithmetic on this cpu"),
        ({"avx2"}, {"precision": "bf16", "precision_forced": True}, ""),
        ({"avx2"}, {"precision": "float32"}, ""),
        ({"avx512_bf16"}, {"precision": "tf32"}, "train.precision: tf32 needs a CUDA device"),
        ({"avx512_bf16"}, {"precision": "tf32", "precision_forced": True}, "train.precision: tf32 needs a CUDA device"),
    ],
)
def test_what_would_be_emulated_is_refused(
    flags: set[str], spec: dict[str, object], refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "_processor_flags", lambda: flags)
    train = tiny.run_spec(**spec).train  # type: ignore[arg-type]
    if not refused:
        check_precision(train, CPU)
        return
    with pytest.raises(InputError, match=refused) as caught:
        check_precision(train, CPU)
    assert "\n" not in str(caught.value)


def test_the_processor_is_asked() -> None:
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("torch below 2.15 does not say what the processor has")
    flags = torch.cpu.get_capabilities()
    assert has_bf16(CPU) == bool(flags.get("avx512_bf16") or flags.get("amx_bf16") or flags.get("bf16"))


@pytest.mark.parametrize("flags", [{"bf16"}, {"amx_bf16", "sse"}, {"avx512_bf16"}])
def test_each_of_the_instruction_sets_is_enough(flags: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_processor_flags", lambda: flags)
    assert has_bf16(CPU) is True


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("model name : X\nflags\t\t: fpu bf16\nbugs : none\nflags : sse\n", {"fpu", "bf16", "sse"}),
        ("processor : 0\nFeatures\t: fp asimd\n", {"fp", "asimd"}),
        ("vmx flags : ept\n", set()),
        (None, set()),
    ],
)
def test_the_list_of_the_system_is_read(text: str | None, flags: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(path: Path, **_: object) -> str:
        assert str(path) == "/proc/cpuinfo"
        if text is None:
            raise FileNotFoundError
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    assert arithmetic._processor_flags() == flags


@pytest.mark.parametrize(("capability", "refused"), [((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_tf32_needs_tensor_cores_that_have_it(
    capability: tuple[int, int], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    train = tiny.run_spec(precision="tf32").train
    if refused:
        with pytest.raises(InputError, match=r"tf32 needs a CUDA device of capability 8\.0 or more, got cuda$"):
            check_precision(train, torch.device("cuda"))
    else:
        check_precision(train, torch.device("cuda"))


def test_tf32_is_for_the_block_alone() -> None:
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [switch.allow_tf32 for switch in switches]
    inside = []

    def step() -> None:
        with training_in("tf32"):
            inside.extend(switch.allow_tf32 for switch in switches)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step()
    assert inside == [True, True]
    assert [switch.allow_tf32 for switch in switches] == before
