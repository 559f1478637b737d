"""The whole parameter file: every section by its own spec, and the rules between sections."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isclose
from pathlib import Path

from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.data import DataSpec
from normlab.specs.dln import DlnGridSpec, DlnScanSpec, DlnSpec
from normlab.specs.grid import Block, compared, plan
from normlab.specs.lottery import LotteryBlock, lottery_cells
from normlab.specs.probe import ProbeSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.report import ReportSpec
from normlab.specs.strict import InputError, build, load_params
from normlab.specs.theory import TheorySpec
from normlab.specs.training import RunSpec, TrainSpec, check_steps


@dataclass(frozen=True)
class StudySpec:
    """All sections of a parameter file, a field each.

    Raises:
        InputError: two sections contradict each other.
    """

    data: DataSpec
    grid: tuple[Block, ...]
    train: TrainSpec
    probe: ProbeSpec
    dln_grid: DlnGridSpec
    dln: DlnSpec
    dln_scan: DlnScanSpec
    dln_lottery: tuple[LotteryBlock, ...] = field(default=(), kw_only=True)  # older files have none
    theory: TheorySpec
    assumptions: AssumptionsSpec
    reparametrization: ReparametrizationSpec
    analyze: AnalyzeSpec
    report: ReportSpec

    def __post_init__(self) -> None:
        _check_comparison(self)
        shared = [run for run in self.runs if not run.variant]
        for where, runs, steps in (
            ("probe.eigenvalue_at", shared[:1], self.probe.eigenvalue_at),
            ("assumptions.steps", self.compared(self.assumptions.norm_layer), self.assumptions.steps),
            ("reparametrization.steps", self.compared(self.reparametrization.norm_layer), self.reparametrization.steps),
        ):
            for run in runs:
                check_steps(steps, run, where)
        for cell in self.dln_grid.cells:
            self.dln.varied(cell.variant, "dln_grid.variant")
        lottery_cells(self.dln_lottery)
        _check_images(self)

    @cached_property
    def runs(self) -> list[RunSpec]:
        """Every run of the grid."""
        return [planned.spec for planned in plan(self.grid, self.train)]

    def looked_at(self, run: RunSpec) -> tuple[int, ...]:
        """The steps whose checkpoints of a run other stages than the probe read."""
        readers = (self.assumptions, self.reparametrization)
        found = {step for spec in readers if run in self.compared(spec.norm_layer) for step in spec.steps}
        return tuple(sorted(found))

    def kept(self, run: RunSpec) -> tuple[int, ...]:
        """The steps whose checkpoints a run keeps: its schedule, or of `checkpoints: few` those read, and the last."""
        few = tuple(sorted({*self.looked_at(run), run.train.steps}))
        return run.train.checkpoint_steps if run.train.checkpoints == "all" else few

    def compared(self, norm_layers: Collection[str]) -> list[RunSpec]:
        """The runs that `normlab.specs.grid.compared` selects."""
        return compared(self.runs, norm_layers, self.analyze.network, self.analyze.learning_rate)


def read_study(path: str | Path) -> StudySpec:
    """The study that the parameter file at `path` describes.

    Raises:
        InputError: the file cannot be read; a section or key is missing or unknown; a value, or two together, cannot
            be used.
    """
    return build(StudySpec, load_params(path), "")


def _check_comparison(study: StudySpec) -> None:
    spec = study.analyze
    if "training" in spec.studies:
        networks = list(dict.fromkeys(run.network for run in study.runs))
        if spec.network not in networks:
            raise InputError(f"analyze.network: accepted (grid): {', '.join(networks)}, got {spec.network!r}")
        rates = sorted({run.learning_rate for run in study.runs if (run.network, run.variant) == (spec.network, "")})
        _check_rate(spec.learning_rate, rates, "analyze.learning_rate", f"grid, {spec.network}")
        _check_normalizers(study)
    if "dln" in spec.studies:
        _check_rate(spec.dln_learning_rate, study.dln_grid.learning_rate, "analyze.dln_learning_rate", "dln_grid")


def _check_rate(rate: float, rates: Sequence[float], where: str, source: str) -> None:
    if not any(isclose(rate, other, rel_tol=1e-6) for other in rates):
        raise InputError(f"{where}: accepted ({source}): {', '.join(map(str, rates)) or 'none'}, got {rate}")


def _check_normalizers(study: StudySpec) -> None:
    """Refuse a rate where only a part of the normalizers was run: most claims would be "not run" after all trainings.

    It happens when the rate of the compared runs is changed in the grid and `analyze.learning_rate` is that of a sweep.
    """
    spec, normalizers = study.analyze, dict[float, set[str]]()
    for run in study.runs:
        if (run.network, run.variant) == (spec.network, ""):
            normalizers.setdefault(run.learning_rate, set()).add(run.norm_layer)
    here = next(names for rate, names in normalizers.items() if isclose(rate, spec.learning_rate, rel_tol=1e-6))
    fuller = {rate: names - here for rate, names in normalizers.items() if names > here}
    if fuller:
        rate, missing = max(fuller.items(), key=lambda item: len(item[1]))
        raise InputError(
            f"analyze.learning_rate: at {spec.learning_rate} the grid has no {', '.join(sorted(missing))}, "
            f"which it has at {rate}: compare there, or add them"
        )


def _check_images(study: StudySpec) -> None:
    """Every batch has to fit into the training split, as far as its size is known before it is read."""
    images = study.data.train_images
    if images is None:
        return
    for run in study.runs:
        if run.train.batch_size > images:
            raise InputError(
                f"train.batch_size: must be at most the {max(images, 0)} training images of `data`, got "
                f"{run.train.batch_size} ({run.name})"
            )
