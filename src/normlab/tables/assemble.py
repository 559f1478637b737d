"""All studies that the parameters name, read into the three tables of the analysis."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.dln import DlnGridSpec
from normlab.specs.grid import compared, of_other_length, planned_runs
from normlab.specs.lottery import planned_lottery
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import InputError, load_params, load_section
from normlab.specs.training import RunSpec
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine
from normlab.tables.stage_outputs import (
    read_deep_linear_study,
    read_learning_rate_scan,
    read_lottery,
    read_reparametrization_study,
    read_theory_study,
    read_training_study,
    strays,
)


@dataclass(frozen=True)
class Sources:
    """Where the stages write, below `root`."""

    root: Path

    @property
    def models(self) -> Path:
        """Outputs of the train stage, a folder a run."""
        return self.root / "models" / "runs"

    @property
    def probes(self) -> Path:
        """Outputs of the probe stage, a folder a run."""
        return self.root / "data" / "probes"

    def study(self, name: str) -> Path:
        """Outputs of another study."""
        return self.root / "data" / "studies" / name


@dataclass(frozen=True)
class Tables:
    """The three tables, and what is worth saying about how they came together."""

    measurements: pd.DataFrame
    histograms: pd.DataFrame
    theory: pd.DataFrame
    notes: tuple[str, ...]


def assemble(spec: AnalyzeSpec, params: Path, sources: Sources) -> Tables:
    """Read every study of `analyze.studies`, run by run as the grids name them.

    Args:
        spec: section `analyze`.
        params: the parameter file, for the grids and `train`.
        sources: where the outputs are.

    Raises:
        InputError: an output of a named study is missing or belongs to something else; `analyze.network` is not in
        the grid.
    """
    measurements: list[pd.DataFrame] = []
    histograms: list[pd.DataFrame] = []
    notes: list[str] = []
    theory = pd.DataFrame()
    if "training" in spec.studies:
        runs = _trained_runs(spec, params)
        found = read_training_study(runs, sources.models, sources.probes)
        measurements += found[0]
        histograms += found[1]
        for folder in (sources.models, sources.probes):
            notes += _stray_notes(folder, [run.name for run in runs], "grid")
    if "dln" in spec.studies:
        cells = load_section(params, "dln_grid", DlnGridSpec).cells
        found = read_deep_linear_study(cells, sources.study("dln"))
        measurements += found[0]
        histograms += found[1]
        notes += _stray_notes(sources.study("dln"), [cell.name for cell in cells], "dln_grid")
    if "dln_scan" in spec.studies:
        measurements.append(read_learning_rate_scan(sources.study("dln_scan")))
    if "dln_lottery" in spec.studies:
        folder, many = sources.study("dln_lottery"), planned_lottery(load_params(params))
        measurements += [read_lottery(cell, folder) for cell in many]
        notes += _stray_notes(folder, [cell.name for cell in many], "dln_lottery")
    if "reparametrization" in spec.studies:
        runs = _compared_runs(load_section(params, "reparametrization", ReparametrizationSpec).norm_layer, spec, params)
        folder = sources.study("reparametrization")
        measurements += read_reparametrization_study(runs, folder)
        notes += _stray_notes(folder, [run.name for run in runs], "grid")
    if "theory" in spec.studies:
        runs = _compared_runs(load_section(params, "assumptions", AssumptionsSpec).norm_layer, spec, params)
        folder = sources.study("assumptions")
        theory = read_theory_study(runs, sources.study("theory"), folder)
        notes += _stray_notes(folder, [run.name for run in runs], "grid")
    tables = combine(measurements), combine(histograms, HISTOGRAM_COLUMNS)
    if "training" in spec.studies:
        let_other_lengths_take_part(tables, _trained_runs(spec, params), spec)
    return Tables(*tables, theory, tuple(notes))


def let_other_lengths_take_part(tables: Iterable[pd.DataFrame], runs: Sequence[RunSpec], spec: AnalyzeSpec) -> None:
    """Where a normalizer has no run of the shared length, its longest ones stand in these tables as if they had it.

    Args:
        tables: with the columns of `normlab.tables.rows.KEYS`, changed in place.
        runs: all that the grid names.
        spec: section `analyze`: which network, at which rate (`normlab.specs.grid.of_other_length`).
    """
    for run in of_other_length(runs, spec.network, spec.learning_rate):
        for table in tables:
            _as_shared(table, run)


def _as_shared(table: pd.DataFrame, run: RunSpec) -> None:
    """Let the rows of a run take part in the comparisons: they are found under the variant of the shared settings."""
    rows = np.ones(len(table), dtype=bool)
    for key, value in run.keys.items():
        rows &= (table[key] == value).to_numpy()
    if rows.any():
        table["variant"] = table["variant"].cat.add_categories(
            [""] if "" not in table["variant"].cat.categories else []
        )
        table.loc[rows, "variant"] = ""


def _trained_runs(spec: AnalyzeSpec, params: Path) -> list[RunSpec]:
    runs = [run.spec for run in planned_runs(load_params(params))]
    networks = dict.fromkeys(run.network for run in runs)
    if spec.network not in networks:
        raise InputError(f"analyze.network: accepted (grid): {', '.join(networks)}, got {spec.network!r}")
    return runs


def _compared_runs(norm_layers: Collection[str], spec: AnalyzeSpec, params: Path) -> list[RunSpec]:
    """The runs that the claims compare and that have one of these normalizers."""
    runs = [run.spec for run in planned_runs(load_params(params))]
    return compared(runs, norm_layers, spec.network, spec.learning_rate)


def _stray_notes(folder: Path, names: list[str], section: str) -> list[str]:
    found = strays(folder, names)
    if not found:
        return []
    return [f"note: {folder} holds {len(found)} folders that `{section}` does not name, not read: {', '.join(found)}"]
