"""From a run's spec to its network, the same initial weights for every normalizer of a seed."""

import traceback
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from normlab.nn.registry import fitting, load, network
from normlab.nn.structure import Structure, read_structure
from normlab.seeding import seed_all
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec

LEAST_CLASSES = 2  # of any data set: what is counted with where their number is not known yet


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is a device, else the CPU.

    Raises:
        InputError: a CUDA device is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"train.device: {name!r} is not available here; there are {torch.cuda.device_count()} CUDA devices"
        )
    return device


def build_network(run: RunSpec, num_classes: int, device: torch.device | str = "cpu") -> nn.Module:
    """The network of `run` at its initial weights.

    Weights are drawn on the CPU from the stream "init" of the seed, in layer order, and normalizers draw nothing; so
    runs of one seed start at the same weights whatever the normalizer and the device.

    Raises:
        InputError: the network or its normalizer cannot be found, or cannot be called as `normlab.nn.network` says.
    """
    family = load(run.network, "network")  # before the draws: somebody's module may draw when it is imported
    options = fitting(family, {"classifier": run.train.classifier})
    seed_all(run.seed, "init")
    try:
        model = network(
            run.network, norm_layer=run.norm_layer, num_classes=num_classes, width=run.train.width, **options
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"network {run.network} with norm_layer {run.norm_layer}: {_one_line(error)}") from error
    # convolutions on NHWC data are 1.3 to 1.9 times faster on the CPU at small widths
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def count_parameters(run: RunSpec, num_classes: int) -> int:
    """How many numbers the network of `run` learns."""
    return sum(parameter.numel() for parameter in build_network(run, num_classes).parameters())


@cache
def checkpoint_bytes(run: RunSpec, num_classes: int) -> int:
    """What a checkpoint of `run` holds: parameters, buffers, and a buffer a parameter where there is momentum."""
    with torch.device("meta"):  # shapes without numbers
        model = build_network(run, num_classes, "meta")
    momentum = [*model.parameters()] if run.train.momentum else []
    return sum(tensor.numel() * tensor.element_size() for tensor in [*model.state_dict().values(), *momentum])


def check_network(run: RunSpec, num_classes: int | None, inputs: Tensor) -> Structure:
    """Try the network of `run` on a few inputs before anything is trained.

    Args:
        run: the run.
        num_classes: of the data set; None where it is read later: any number of scores is right then.
        inputs: a few training images, on the device that will train.

    Returns:
        What the studies can see of the network.

    Raises:
        InputError: it cannot be built or called, does not return num_classes scores an image, or has a normalizer
            and no layer that uses it: its results would carry the normalizer's name for nothing.
    """
    model = build_network(run, num_classes or LEAST_CLASSES, inputs.device).train()
    where = f"network {run.network} with norm_layer {run.norm_layer}"
    try:
        with torch.no_grad():
            scores = model(inputs)
        structure = read_structure(model, inputs)
    except Exception as error:  # somebody's module may fail in any way
        raise InputError(f"{where}: on images {tuple(inputs.shape)}: {_one_line(error)}") from error
    shape = tuple(scores.shape) if isinstance(scores, Tensor) else ()
    if len(shape) != 2 or shape != (len(inputs), num_classes or shape[1]):
        found, expected = shape or type(scores).__name__, f"({len(inputs)}, {num_classes or 'classes'})"
        raise InputError(f"{where}: expected scores of shape {expected} for images {tuple(inputs.shape)}, got {found}")
    if not structure.normalized and run.norm_layer != "none":
        raise InputError(f"{where}: no layer of it is normalized: it never uses its norm_layer")
    return structure


def _one_line(error: Exception) -> str:
    """The message, and where it was raised: a person has to find it in a file of their own."""
    message = " ".join(str(error).split())
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f" ({type(error).__name__}, {Path(last.filename).name}:{last.lineno})"
    return message if isinstance(error, InputError) else message + place


def build_optimizer(model: nn.Module, run: RunSpec) -> torch.optim.SGD:
    """The paper's "standard SGD" at the run's fixed learning rate."""
    train = run.train
    return torch.optim.SGD(
        model.parameters(), lr=run.learning_rate, momentum=train.momentum, weight_decay=train.weight_decay
    )
