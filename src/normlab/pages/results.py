"""What a page reads: tables, verdicts, parameters and the data set's manifest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from normlab.analysis.catalog import Quantity, named
from normlab.analysis.cells import Cells
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.parts import family
from normlab.specs.strict import InputError, build, load_params
from normlab.tables.frames import as_categories

DEEP_LINEAR = "dln"  # the one network of the study of this name


@dataclass(frozen=True)
class Results:
    """The files behind a page.

    Attributes:
        tables: folder with `measurements.parquet`, `histograms.parquet` and, if that study ran, `theory.parquet`.
        claims_path: `claims.json`.
        params_path: the parameter file that the results were made with, or `settings.json` of a record.
        manifest_path: `manifest.json` of the prepared data set; `settings.json` of a record.
    """

    tables: Path
    claims_path: Path
    params_path: Path
    manifest_path: Path

    @classmethod
    def load(cls, tables: str, claims: str, params: str, manifest: str) -> "Results":
        """The results at these paths, from here or from the folder above: Jupyter starts in that of the notebook.

        Every file but `theory.parquet` has to exist.

        Raises:
            InputError: a file is missing.
        """
        root = next((folder for folder in (Path(), Path("..")) if (folder / params).is_file()), Path())
        results = cls(root / tables, root / claims, root / params, root / manifest)
        needed = [results.tables / "measurements.parquet", results.tables / "histograms.parquet", results.claims_path]
        for path in [*needed, results.params_path, results.manifest_path]:
            if not path.is_file():
                raise InputError(f"{path}: no such file; run `make repro` first")
        return results

    def measurements(self, *studies: str, probe: str | Sequence[str] = (), network: str | None = None) -> pd.DataFrame:
        """Rows of these studies (all if none is named) and probes; by default of the study's main network only.

        Args:
            studies: families of networks (`study` is that of the compared one), `dln`, `reparametrization`.
            probe: one probe or several; none means all but `summary` and `structure`, which hold no measurements.
            network: a network, or "*" for all; None is `analyze.network`, or of study `dln` the one there is.

        Returns:
            Also the column `place`: the layer's number from input to output, NaN where the network does not show it.
        """
        probes = [probe] if isinstance(probe, str) else list(probe)
        frame = self._read("measurements", studies, probes)
        frame = frame if probes else frame[~frame["probe"].isin(["summary", "structure"])]
        return self._of_network(frame, network)

    def cells(self, *studies: str, probe: str | Sequence[str] = (), every_variant: bool = False) -> Cells:
        """The cells of these studies and probes (all if none is named), on which quantities are computed.

        Of the runs with the shared settings, or with `every_variant` also of those whose settings differ.
        """
        probes = [probe] if isinstance(probe, str) else list(probe)
        frame = self._read("measurements", studies, [*probes, "summary"] if probes else [], every_variant)
        return Cells(as_categories(frame), self.theory(), self.spec)

    def histograms(self, *studies: str, network: str | None = None) -> pd.DataFrame:
        """Histogram rows of these studies, of the main network as for `measurements`."""
        return self._of_network(self._read("histograms", studies, []), network)

    def theory(self) -> pd.DataFrame:
        """The table of the theory study; empty if it did not run."""
        path = self.tables / "theory.parquet"
        return pq.read_table(path).to_pandas() if path.is_file() else pd.DataFrame()

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """All verdicts, in their order."""
        return json.loads(self.claims_path.read_text(encoding="utf-8"))

    @cached_property
    def params(self) -> dict[str, Any]:
        """The whole parameter file; the settings of a record are one, as JSON (whose `1e-06` YAML would refuse)."""
        if self.params_path.suffix == ".json":
            return json.loads(self.params_path.read_text(encoding="utf-8"))
        return load_params(self.params_path)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The data set's manifest; the settings of a record hold what it keeps of it as `data`."""
        content = json.loads(self.manifest_path.read_text(encoding="utf-8"))
        return content.get("data", content)

    def claims_on(self, page: str) -> list[dict[str, Any]]:
        """The claims whose verdict is shown on `page` (a notebook's name, such as 02-landscape)."""
        return [claim for claim in self.claims if str(claim.get("page", "")).removesuffix(".html") == page]

    @cached_property
    def spec(self) -> AnalyzeSpec:
        """Section `analyze`: the network and rates that are compared, the window of means, the level of intervals."""
        return build(AnalyzeSpec, self.params.get("analyze"), f"{self.params_path}: analyze")

    @property
    def study(self) -> str:
        """The study of the runs that are compared: the family of `analyze.network`, such as `vgg`."""
        return family(self.spec.network)

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """The named quantities, by the names they have in metrics.json."""
        return named(self.spec.window)

    def grid(self, section: str) -> tuple[float, ...]:
        """The paper's step sizes of a walk in units of the learning rate: of section `probe`, or of `dln`."""
        return tuple(map(float, self.params[section]["step_sizes"]))

    @property
    def penalty_sentence(self) -> str:
        """λ of the penalized walk, and whether training followed it."""
        decay = float(self.params.get("train", {}).get("weight_decay", 0.0))
        penalty = decay or float(self.params.get("probe", {}).get("penalty", 0.0))
        return f"λ = {penalty:g}; training {'had it, too' if decay else 'itself had no weight decay'}."

    def _read(
        self, table: str, studies: Sequence[str], probes: Sequence[str], every_variant: bool = False
    ) -> pd.DataFrame:
        # pages compare runs with the shared settings, measured on training's own batch
        filters: list[tuple[str, str, Any]] = [] if every_variant else [("variant", "==", "")]
        filters += [("batch", "==", 0)] if table == "measurements" else []
        filters += [("study", "in", list(studies))] if studies else []
        filters += [("probe", "in", list(probes))] if probes else []
        return pq.read_table(self.tables / f"{table}.parquet", filters=filters or None).to_pandas()

    def _of_network(self, frame: pd.DataFrame, network: str | None) -> pd.DataFrame:
        if network != "*":
            wanted = [network] if network else [self.spec.network, DEEP_LINEAR]
            frame = frame[frame["network"].isin(wanted)].reset_index(drop=True)
        names = pd.MultiIndex.from_frame(frame[["network", "layer"]])
        return frame.assign(place=self._places.reindex(names).to_numpy())

    @cached_property
    def _places(self) -> pd.Series:
        """The number of every layer by network and name, as far as the networks show it."""
        rows = self._read("measurements", (), ["structure"]).astype({"network": str, "layer": str})
        return rows.drop_duplicates(["network", "layer"]).set_index(["network", "layer"])["value"]
