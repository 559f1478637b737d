"""The settings of the theory stage: the `theory` section of `params.yaml`."""

from dataclasses import dataclass

from normlab.specs.strict import InputError, require


@dataclass(frozen=True)
class TheorySpec:
    """Section `theory`: on how many random numbers the paper's statements are checked.

    Attributes:
        cases: random cases for each size and seed.
        samples: sizes m of the random units.
        seeds: seeds of the random cases; intervals are over them.
    """

    cases: int
    samples: tuple[int, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        require(self.cases >= 1, "theory.cases", "must be at least 1", self.cases)
        for key, lowest in (("samples", 3), ("seeds", 0)):
            values = getattr(self, key)
            require(len(values) > 0, f"theory.{key}", "expected at least one entry", list(values))
            if len(set(values)) != len(values):
                raise InputError(f"theory.{key}: every entry may appear once, got {list(values)}")
            for value in values:
                require(value >= lowest, f"theory.{key}", f"each must be at least {lowest}", value)
