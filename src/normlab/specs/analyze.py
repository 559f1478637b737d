"""The settings of the analyze stage: the `analyze` and `dln_grid` sections of `params.yaml`."""

from dataclasses import dataclass

from normlab.specs.strict import InputError, require

STUDIES = ("training", "dln", "dln_scan", "dln_lottery", "theory", "reparametrization")


@dataclass(frozen=True)
class AnalyzeSpec:
    """Section `analyze`: how stage outputs become intervals and verdicts.

    The thresholds of the claims are not here: they are data in `analysis/claims.yaml`.

    Attributes:
        studies: which studies are read. Every output of a named study has to exist; claims that need another one are
            reported as "not run".
        network: the network of the grid that the claims about VGG are decided on; the others are shown beside it.
        learning_rate: the rate at which the normalizers are compared (the paper's 0.1).
        dln_learning_rate: the same for the deep linear network (the paper's 1e-6).
        window: training accuracy and loss are averaged over this many steps, the present one and those before it.
        confidence: of every interval.
        resamples: of the bootstrap.
        seed: of the bootstrap's resampling.
    """

    studies: tuple[str, ...]
    network: str
    learning_rate: float
    dln_learning_rate: float
    window: int
    confidence: float
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        for study in self.studies:
            require(study in STUDIES, "analyze.studies", f"accepted: {', '.join(STUDIES)}", study)
        if len(set(self.studies)) != len(self.studies):
            raise InputError(f"analyze.studies: every entry may appear once, got {list(self.studies)}")
        for key in ("learning_rate", "dln_learning_rate"):
            require(
                0 < getattr(self, key) < float("inf"), f"analyze.{key}", "must be a positive number", getattr(self, key)
            )
        require(self.window >= 1, "analyze.window", "must be at least 1", self.window)
        require(0.5 <= self.confidence < 1.0, "analyze.confidence", "must be in [0.5, 1)", self.confidence)
        require(self.resamples >= 100, "analyze.resamples", "must be at least 100", self.resamples)
        require(self.seed >= 0, "analyze.seed", "must be at least 0", self.seed)
