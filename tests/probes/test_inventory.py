"""The inventory of a model is what the model's own methods tell."""

from collections.abc import Iterator

import torch
from torch import nn

from normlab.probes.inventory import Inventory


def _told(model: nn.Module) -> tuple[list[int], ...]:
    """Ids and names, by torch's own methods, each of which goes through all modules."""
    named = [list(model.named_modules()), list(model.named_parameters()), list(model.named_buffers())]
    return (
        *([(name, id(value)) for name, value in pairs] for pairs in named),  # type: ignore[arg-type]
        [id(p) for p in model.parameters() if p.requires_grad],
    )


def _found(model: nn.Module) -> tuple[list[int], ...]:
    inventory = Inventory(model)
    named = [inventory.modules, inventory.parameters, inventory.buffers]
    return (
        *([(name, id(value)) for name, value in pairs] for pairs in named),  # type: ignore[attr-defined]
        [id(p) for p in inventory.trainable],
    )


def test_it_tells_what_torch_does() -> None:
    shared = nn.BatchNorm1d(3)
    model = nn.Sequential(nn.Linear(3, 3), shared, nn.Linear(3, 3, bias=False), shared)
    model[2].weight = model[0].weight  # tied: counts once, under the first name
    model[0].bias.requires_grad_(False)
    model.register_buffer("none", None)
    model.register_buffer("same", shared.running_mean)
    assert _found(model) == _told(model)
    assert Inventory(model).slots()[id(model[2].weight)] == (model[0], "weight")


class OnlyTheHead(nn.Module):
    """A class with a rule of its own for what its parameters are, as wrappers of large models have."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 1)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self.head.parameters(recurse)


class Renamed(nn.Module):
    """A class that leaves a part of the names out."""

    def __init__(self) -> None:
        super().__init__()
        self._wrapped = nn.Linear(3, 1)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            yield name.replace("_wrapped.", ""), parameter


def test_a_class_with_a_rule_of_its_own_is_asked() -> None:
    for model in (OnlyTheHead(), Renamed()):
        assert _found(model) == _told(model)
    linear = nn.Linear(2, 1)
    linear.named_buffers = lambda: iter([("mine", torch.ones(1))])  # type: ignore[assignment, misc]
    assert [name for name, _ in Inventory(linear).buffers] == ["mine"]
