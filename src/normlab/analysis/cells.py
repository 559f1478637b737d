"""The measurements by cell: all seeds of one network, normalizer and learning rate."""

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from normlab.analysis.estimates import NotRunError
from normlab.specs.analyze import STUDIES, AnalyzeSpec
from normlab.specs.variant import suffix
from normlab.tables.frames import EVERY, same, select

_CELL = ["study", "network", "norm_layer", "learning_rate"]
_WITHOUT_CELLS = set(STUDIES) - {"training", "dln"}  # studies of the same networks, or of none
_EITHER = {"variant": EVERY, "batch": EVERY}


class Cell:
    """All rows of one cell.

    Attributes:
        network, norm_layer, learning_rate, variant: what the seeds share.
    """

    def __init__(
        self, network: str, norm_layer: str, learning_rate: float, frame: pd.DataFrame, variant: str = ""
    ) -> None:
        self.network, self.norm_layer, self.learning_rate, self.variant = network, norm_layer, learning_rate, variant
        self._probes = dict(list(frame.groupby("probe", observed=True)))
        self._made: dict[Hashable, pd.DataFrame] = {}
        self.seeds = sorted(frame["seed"].unique())

    @property
    def name(self) -> str:
        """`<network>-<norm_layer>-<learning rate>` and the variant: a run's name without the seed."""
        return f"{self.network}-{self.norm_layer}-{self.learning_rate}{suffix(self.variant)}"

    def once(self, key: Hashable, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table that `make` returns, made once for a key: the parts of a claim ask for the same ones many times."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key].copy(deep=False)  # pandas copies what a caller writes into

    def rows(self, probe: str, quantity: str, **conditions: object) -> pd.DataFrame:
        """The rows of one quantity (columns seed, layer, step_size, step, value), further conditions as in `select`.

        Measured on training's own batch unless `batch` is among the conditions.

        Raises:
            NotRunError: the cell has none.
        """
        wanted = ((name, tuple(one) if isinstance(one, list | set) else one) for name, one in conditions.items())
        return self.once((probe, quantity, *wanted), lambda: self._rows(probe, quantity, conditions))

    def _rows(self, probe: str, quantity: str, conditions: dict[str, object]) -> pd.DataFrame:
        found = select(self._probes.get(probe, pd.DataFrame(columns=["quantity"])), quantity=quantity, **_EITHER)
        if len(found):
            found = select(found, **{"variant": EVERY, **conditions})
        if not len(found):
            where = "".join(f", {key} {value}" for key, value in conditions.items() if value is not None)
            raise NotRunError(f"no {probe} measurement of {quantity}{where} in {self.name}")
        return found[["seed", "layer", "step_size", "step", "value"]]

    def has(self, probe: str, quantity: str) -> bool:
        """Whether the cell has any row of the quantity."""
        return probe in self._probes and bool((self._probes[probe]["quantity"] == quantity).any())

    @cached_property
    def places(self) -> dict[str, int]:
        """The number, from input to output, of every normalized layer and of the weight layer in front of it.

        Raises:
            NotRunError: the network shows no normalized layer, or was not measured.
        """
        rows = self.rows("structure", "place").astype({"layer": str}).drop_duplicates("layer")
        return {layer: int(place) for layer, place in zip(rows["layer"], rows["value"], strict=True)}

    @property
    def depth(self) -> int:
        """How many normalized layers the network has."""
        return max(self.places.values())

    @cached_property
    def horizons(self) -> pd.Series:
        """Planned updates by seed; a study without `summary` rows ended at its last step, or at its last probe."""
        if self.has("summary", "steps"):
            return self.rows("summary", "steps").set_index("seed")["value"]
        if "history" in self._probes:
            return self._probes["history"].groupby("seed")["step"].max() + 1.0
        return pd.concat(self._probes.values()).groupby("seed")["step"].max().astype(float)

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
        variant: of the runs that are compared; `dataclasses.replace(cells, variant=...)` looks at another one.
    """

    measurements: pd.DataFrame
    theory: pd.DataFrame
    spec: AnalyzeSpec
    variant: str = ""

    @cached_property
    def all(self) -> dict[tuple[str, str, float], Cell]:
        """Every cell of the training and deep linear studies by (network, normalizer, learning rate)."""
        studies = [study for study in self.measurements["study"].unique() if study not in _WITHOUT_CELLS]
        kept = select(self.measurements, study=studies, variant=self.variant, batch=EVERY)
        groups = kept.groupby(_CELL, observed=True)
        return {(net, norm, rate): Cell(net, norm, rate, frame, self.variant) for (_, net, norm, rate), frame in groups}

    @property
    def variants(self) -> list["Cells"]:
        """The same tables for every variant that they hold, the runs with the shared settings first."""
        found = self.measurements["variant"].unique() if len(self.measurements) else [""]
        return [dataclasses.replace(self, variant=variant) for variant in sorted({"", *found})]

    @cached_property
    def reparametrization(self) -> pd.DataFrame:
        """Rows of the study `reparametrization`."""
        return select(self.measurements, study="reparametrization", variant=self.variant)

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

    def compared(self, network: str | None = None) -> list[Cell]:
        """The cells of a network (`analyze.network` unless given) at the one rate at which normalizers are compared."""
        network = network or self.spec.network
        rate = self.spec.dln_learning_rate if network == "dln" else self.spec.learning_rate
        return [cell for (net, _, lr), cell in self.all.items() if net == network and same(lr, rate)]

    def of_study(self, study: str) -> list[Cell]:
        """All cells of one study, such as `dln_scan` or `reparametrization`, which take no part in `all`."""
        groups = select(self.measurements, study=study).groupby(_CELL, observed=True)
        return [Cell(net, norm, rate, frame) for (_, net, norm, rate), frame in groups]

    def _find(self, network: str, norm_layer: str, learning_rate: float) -> Cell:
        same_net = {key: cell for key, cell in self.all.items() if key[0] == network}
        if not same_net:
            raise NotRunError(f"no cell with network {network}")
        same_norm = {key: cell for key, cell in same_net.items() if key[1] == norm_layer}
        if not same_norm:
            raise NotRunError(f"no cell with norm_layer {norm_layer} ({network})")
        for (_, _, rate), cell in same_norm.items():
            if same(rate, learning_rate):
                return cell
        raise NotRunError(f"no cell with learning_rate {learning_rate} ({network}, {norm_layer})")
