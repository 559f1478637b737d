"""Section `dln_lottery` of `params.yaml`: how many seeds of which deep linear networks, a few numbers of each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normlab.specs.dln import DlnCell, check_point
from normlab.specs.strict import InputError, convert, require


@dataclass(frozen=True)
class LotteryBlock:
    """An entry of section `dln_lottery`; everything else is as section `dln` says.

    Attributes:
        norm_layer: normalizers.
        learning_rate: rates.
        seeds: how many, from 0 on.
    """

    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    seeds: int

    def __post_init__(self) -> None:
        for norm_layer, learning_rate in itertools.product(self.norm_layer, self.learning_rate):
            check_point(norm_layer, learning_rate, "dln_lottery")
        require(self.seeds >= 1, "dln_lottery.seeds", "must be at least 1", self.seeds)

    @property
    def cells(self) -> list[DlnCell]:
        """All of them."""
        return [DlnCell(kind, rate) for kind, rate in itertools.product(self.norm_layer, self.learning_rate)]


def lottery_cells(blocks: Sequence[LotteryBlock]) -> dict[DlnCell, int]:
    """Every cell of all blocks, and how many seeds it has.

    Raises:
        InputError: two blocks name the same cell.
    """
    found: dict[DlnCell, int] = {}
    for block in blocks:
        for cell in block.cells:
            if cell in found:
                raise InputError(f"dln_lottery: {cell.name} stands in two entries; each cell may be named once")
            found[cell] = block.seeds
    return found


def planned_lottery(params: Mapping[str, Any]) -> dict[DlnCell, int]:
    """The cells of a parameter file, of which only `dln_lottery` is looked at; older files have none."""
    return lottery_cells(convert(params.get("dln_lottery", []), tuple[LotteryBlock, ...], "dln_lottery"))
