"""The answer to the paper's question in five sentences, made from where its claims stand."""

from collections.abc import Sequence

from normlab.analysis.rules import NOT_RUN, VERDICTS
from normlab.pages.standings import NOT_SCORED, Standing

QUESTIONS = (
    ("Does BatchNorm train faster, test better and bear larger learning rates?", ("C1", "C2")),
    ("Is that because it steadies activations or reduces covariate shift?", ("C3", "C4", "C5", "C7")),
    ("Is it because the loss is smoother along the gradient?", ("C9", "C10", "C11", "C13")),
    ("Do other normalizers do as well, and does smoothness go with speed?", ("C14", "C16", "C23")),
    ("Are the theorems true as printed?", ("C18", "C19", "C20", "C21")),
)


def answer(found: Sequence[Standing]) -> list[tuple[str, str]]:
    """A question and its answer each: the verdicts of its claims, each with its number beside the paper's."""
    of = {one.id: one for one in found}
    return [
        (question, _said([of[name] for name in names if name in of]))
        for question, names in QUESTIONS
        if any(name in of for name in names)
    ]


def _said(claims: Sequence[Standing]) -> str:
    groups = []
    for verdict in (*VERDICTS, NOT_SCORED):
        mine = [claim for claim in claims if claim.verdict == verdict]
        if mine:
            listed = "; ".join(_claim(claim) for claim in mine)
            groups.append(f"{verdict[0].upper()}{verdict[1:]}: {listed}.")
    return " ".join(groups)


def _claim(claim: Standing) -> str:
    """`C1 (steps to 90 %, none/batch: the paper's curve 2.06, passes; here 3.5 [3.4, 3.75], n = 5)`."""
    if claim.group == "theory" or claim.verdict == NOT_RUN:
        return claim.id
    numbers = [f"the paper's curve {claim.paper}"] if claim.paper != "–" else []
    numbers += (
        [f"here {claim.here}"] if claim.here != "–" and ": " not in claim.here else []
    )  # of an earlier rule, another quantity
    return f"{claim.id} ({claim.quantity}{': ' if numbers else ''}{'; '.join(numbers)})"
