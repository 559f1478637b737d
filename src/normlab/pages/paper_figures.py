"""Every figure of the paper: which function draws it, which one defines what it plots, and where it is shown."""

from dataclasses import dataclass

from normlab.pages.sources import Function, name_of

_WALK = "normlab.probes.landscape:LandscapeProbe"
_DLN_WALK = "normlab.studies.deep_linear.landscape:Walk"
_TRAINED = "normlab.runs.training:train_step"
_UNITS = "normlab.probes.moments:activation_moments"
_CHANGES = "normlab.studies.checkpoints.activations:ActivationTrack.record"


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper, or one panel where panels plot different quantities.

    Attributes:
        number: the paper's, and what is plotted.
        stage: the stage of dvc.yaml that measures it.
        definition: the function that defines the plotted quantity, as `module:attribute`.
        drawn_by: the function in `normlab.figures`, as `module:attribute`.
        pages: where it is shown.
    """

    number: str
    stage: str
    definition: str
    drawn_by: str
    pages: tuple[str, ...]


PAPER_FIGURES = (
    PaperFigure("1(a) train accuracy", "train", _TRAINED, "normlab.figures.training:figure_1", ("01-training",)),
    PaperFigure(
        "1(b) test accuracy",
        "train",
        "normlab.runs.evaluation:score",
        "normlab.figures.training:figure_1",
        ("01-training",),
    ),
    PaperFigure("1(c) histograms", "probe", _UNITS, "normlab.figures.activations:figure_1c", ("04-activations",)),
    PaperFigure(
        "2, left: noisy BatchNorm, train accuracy",
        "train",
        _TRAINED,
        "normlab.figures.training:figure_2",
        ("01-training",),
    ),
    PaperFigure(
        "2, right: noisy BatchNorm, histograms",
        "probe",
        _UNITS,
        "normlab.figures.activations:figure_2_histograms",
        ("04-activations",),
    ),
    PaperFigure(
        "3(a) covariate shift, VGG",
        "probe",
        "normlab.probes.shift:covariate_shift",
        "normlab.figures.shift:figure_3",
        ("03-covariate-shift",),
    ),
    PaperFigure(
        "3(b) covariate shift, deep linear",
        "dln",
        "normlab.studies.deep_linear.shift:covariate_shift",
        "normlab.figures.shift:figure_3",
        ("06-deep-linear",),
    ),
    PaperFigure(
        "4(a) loss variation",
        "probe",
        f"{_WALK}.loss_range",
        "normlab.figures.landscape:figure_4",
        ("02-landscape", "index"),
    ),
    PaperFigure(
        "4(b) gradient predictiveness",
        "probe",
        f"{_WALK}.gradient_distance_high",
        "normlab.figures.landscape:figure_4",
        ("02-landscape", "index"),
    ),
    PaperFigure(
        "4(c) effective β-smoothness",
        "probe",
        f"{_WALK}.effective_beta",
        "normlab.figures.landscape:figure_4",
        ("02-landscape", "index"),
    ),
    PaperFigure(
        "5(a) ℓp normalizers, VGG", "train", _TRAINED, "normlab.figures.training:figure_5a", ("05-normalizers",)
    ),
    PaperFigure(
        "5(b), 13(a) ℓp normalizers, deep linear",
        "dln",
        "normlab.studies.deep_linear.study:descend",
        "normlab.figures.deep_linear:figure_5b",
        ("06-deep-linear",),
    ),
    PaperFigure(
        "6 histograms, ℓp normalizers",
        "probe",
        _UNITS,
        "normlab.figures.activations:figure_6",
        ("05-normalizers",),
    ),
    PaperFigure(
        "8 moments of activations", "probe", _CHANGES, "normlab.figures.activations:figure_8", ("04-activations",)
    ),
    PaperFigure(
        "9 histograms, deep linear",
        "dln",
        "normlab.studies.deep_linear.activations:DeepLinearTrack.record_histograms",
        "normlab.figures.activations:figure_9",
        ("06-deep-linear",),
    ),
    PaperFigure(
        "10 landscape, deep linear",
        "dln",
        f"{_DLN_WALK}.summary",
        "normlab.figures.deep_linear:figure_10",
        ("06-deep-linear",),
    ),
    PaperFigure(
        "11(a) gradient change by step size",
        "probe",
        "normlab.probes.landscape:landscape",
        "normlab.figures.landscape:figure_11",
        ("02-landscape",),
    ),
    PaperFigure(
        "11(b) the same, deep linear",
        "dln",
        f"{_DLN_WALK}.per_step_size",
        "normlab.figures.landscape:figure_11",
        ("06-deep-linear",),
    ),
    PaperFigure(
        "12 landscape, ℓp normalizers",
        "probe",
        "normlab.probes.landscape:landscape",
        "normlab.figures.landscape:figure_12",
        ("05-normalizers",),
    ),
    PaperFigure(
        "13(b–d) landscape, ℓp, deep linear",
        "dln",
        f"{_DLN_WALK}.summary",
        "normlab.figures.deep_linear:figure_13",
        ("06-deep-linear",),
    ),
)


def definitions(drawn_by: Function, page: str) -> list[str]:
    """The functions that define what a figure of the paper plots, each once; none for another figure.

    Args:
        drawn_by: its function.
        page: the page that shows it, since one function may draw two figures.
    """
    shown = [
        figure.definition for figure in PAPER_FIGURES if figure.drawn_by == name_of(drawn_by) and page in figure.pages
    ]
    return list(dict.fromkeys(shown))
