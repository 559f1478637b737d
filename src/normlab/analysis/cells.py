"""The measurements by cell: all seeds of one network, normalizer and learning rate."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from normlab.analysis.estimates import NotRunError
from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.frames import select

_CELL = ["study", "network", "norm_layer", "learning_rate"]
_CELL_STUDIES = ("vgg", "resnet", "dln")


class Cell:
    """All rows of one cell.

    Attributes:
        network, norm_layer, learning_rate: what the seeds share.
    """

    def __init__(self, network: str, norm_layer: str, learning_rate: float, frame: pd.DataFrame) -> None:
        self.network, self.norm_layer, self.learning_rate = network, norm_layer, learning_rate
        self._probes = dict(list(frame.groupby("probe", observed=True)))
        self.seeds = sorted(frame["seed"].unique())

    @property
    def name(self) -> str:
        """`<network>-<norm_layer>-<learning rate>`: a run's name without the seed."""
        return f"{self.network}-{self.norm_layer}-{self.learning_rate}"

    def rows(self, probe: str, quantity: str, **conditions: object) -> pd.DataFrame:
        """The rows of one quantity (columns seed, layer, step_size, step, value), further conditions as in `select`.

        Raises:
            NotRunError: the cell has none.
        """
        found = select(self._probes.get(probe, pd.DataFrame(columns=["quantity"])), quantity=quantity)
        if conditions and len(found):
            found = select(found, **conditions)
        if not len(found):
            where = "".join(f", {key} {value}" for key, value in conditions.items() if value is not None)
            raise NotRunError(f"no {probe} measurement of {quantity}{where} in {self.name}")
        return found[["seed", "layer", "step_size", "step", "value"]]

    def has(self, probe: str, quantity: str) -> bool:
        """Whether the cell has any row of the quantity."""
        return probe in self._probes and bool((self._probes[probe]["quantity"] == quantity).any())

    @cached_property
    def horizons(self) -> pd.Series:
        """Planned updates by seed; a study that writes no `summary` rows ended at its last step."""
        if self.has("summary", "steps"):
            return self.rows("summary", "steps").set_index("seed")["value"]
        return self._probes["history"].groupby("seed")["step"].max() + 1.0

    @cached_property
    def diverged(self) -> pd.Series:
        """Whether the run of each seed diverged."""
        if self.has("summary", "diverged_at"):
            return self.rows("summary", "diverged_at").set_index("seed")["value"].notna()
        finite = self.rows("history", "loss").groupby("seed")["value"].agg(lambda loss: np.isfinite(loss).all())
        return ~finite.astype(bool)


@dataclass(frozen=True)
class Cells:
    """All cells of all studies, and how they are to be compared.

    Attributes:
        measurements: the tidy table.
        theory: the table of the theory study, empty if it was not run.
        spec: section `analyze`.
    """

    measurements: pd.DataFrame
    theory: pd.DataFrame
    spec: AnalyzeSpec

    @cached_property
    def all(self) -> dict[tuple[str, str, float], Cell]:
        """Every cell of the training and deep linear studies by (network, normalizer, learning rate)."""
        kept = select(self.measurements, study=list(_CELL_STUDIES))
        groups = kept.groupby(_CELL, observed=True)
        return {(net, norm, rate): Cell(net, norm, rate, frame) for (_, net, norm, rate), frame in groups}

    @cached_property
    def reparametrization(self) -> pd.DataFrame:
        """Rows of the study `reparametrization`."""
        return select(self.measurements, study="reparametrization")

    def vgg(self, norm_layer: str, learning_rate: float | None = None) -> Cell:
        """The cell of `analyze.network` with a normalizer, at `analyze.learning_rate` unless another is given."""
        return self._find(self.spec.network, norm_layer, learning_rate or self.spec.learning_rate)

    def deep_linear(self, norm_layer: str, learning_rate: float | None = None) -> Cell:
        """The same for the deep linear network and `analyze.dln_learning_rate`."""
        return self._find("dln", norm_layer, learning_rate or self.spec.dln_learning_rate)

    def rates(self, norm_layer: str, network: str | None = None) -> list[Cell]:
        """All cells of a normalizer, by rising learning rate."""
        network = network or self.spec.network
        found = [cell for (net, norm, _), cell in self.all.items() if (net, norm) == (network, norm_layer)]
        return sorted(found, key=lambda cell: cell.learning_rate)

    def _find(self, network: str, norm_layer: str, learning_rate: float) -> Cell:
        same_net = {key: cell for key, cell in self.all.items() if key[0] == network}
        if not same_net:
            raise NotRunError(f"no cell with network {network}")
        same_norm = {key: cell for key, cell in same_net.items() if key[1] == norm_layer}
        if not same_norm:
            raise NotRunError(f"no cell with norm_layer {norm_layer} ({network})")
        for (_, _, rate), cell in same_norm.items():
            if np.isclose(rate, learning_rate, rtol=1e-6, atol=0):
                return cell
        raise NotRunError(f"no cell with learning_rate {learning_rate} ({network}, {norm_layer})")
