"""The settings of the assumptions stage: the `assumptions` section of `params.yaml`."""

from dataclasses import dataclass

from normlab.specs.strict import InputError, require


@dataclass(frozen=True)
class AssumptionsSpec:
    """Section `assumptions`: at which tensors of trained networks the theory's statements are checked.

    Attributes:
        norm_layer: the runs of `grid` that are looked at: `[batch]`, which the statements are about, or an empty list
            where the grid has no such runs.
        steps: checkpoints of each run.
        layers: how many normalized layers of a network, evenly spaced from first to last; 0 for all.
        units: how many units of a layer, drawn once for each layer.
    """

    norm_layer: tuple[str, ...]
    steps: tuple[int, ...]
    layers: int
    units: int

    def __post_init__(self) -> None:
        accepted = self.norm_layer in ((), ("batch",))
        require(accepted, "assumptions.norm_layer", "accepted: [batch], or [] for no run", list(self.norm_layer))
        require(self.units >= 1, "assumptions.units", "must be at least 1", self.units)
        require(self.layers >= 0, "assumptions.layers", "must be at least 0 (0: all layers)", self.layers)
        require(len(self.steps) > 0, "assumptions.steps", "expected at least one entry", list(self.steps))
        if len(set(self.steps)) != len(self.steps):
            raise InputError(f"assumptions.steps: every entry may appear once, got {list(self.steps)}")
        for step in self.steps:
            require(step >= 0, "assumptions.steps", "each must be at least 0", step)
