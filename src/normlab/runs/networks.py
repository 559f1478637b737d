"""From a run's spec to its network, the same initial weights for every normalizer of a seed."""

import torch
from torch import nn

from normlab.nn import resnet, vgg
from normlab.seeding import seed_all
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec


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
    """
    seed_all(run.seed, "init")
    depth = int(run.network.removeprefix(run.study))
    model: nn.Module
    if run.study == "vgg":
        model = vgg(depth, run.train.width, run.norm_layer, num_classes, classifier=run.train.classifier)
    else:
        model = resnet(depth, run.norm_layer, num_classes, run.train.width)
    # convolutions on NHWC data are 1.3 to 1.9 times faster on the CPU at small widths
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def build_optimizer(model: nn.Module, run: RunSpec) -> torch.optim.SGD:
    """The paper's "standard SGD" at the run's fixed learning rate."""
    train = run.train
    return torch.optim.SGD(
        model.parameters(), lr=run.learning_rate, momentum=train.momentum, weight_decay=train.weight_decay
    )
