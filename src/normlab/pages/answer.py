"""The answer to the paper's question in a few sentences, made from where its claims stand.

One claim leads each question; its deciding number is put into a sentence that presumes no result, the paper's answer
stands before it and the verdict beside it. A question asks no more than its leading claim can say: that the loss is
smoother is measured, that training is faster because of it is a question of its own (C23).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from normlab.analysis.rules import ERRATUM, GROUPS, VERDICTS
from normlab.pages.standings import Standing, counts_in_words
from normlab.pages.verdicts import NOT_SCORED


@dataclass(frozen=True)
class Question:
    """One question of the story.

    Attributes:
        text: the question.
        paper: the paper's answer, in a word or two.
        claims: the claims that answer it; the first leads.
    """

    text: str
    paper: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A question with what is known here.

    Attributes:
        question: the question.
        lead: where the leading claim stands.
        sentence: its deciding number in words, beside the paper's; empty where there is none.
        further: where its other claims stand.
    """

    question: Question
    lead: Standing
    sentence: str
    further: tuple[Standing, ...]

    @property
    def measured(self) -> bool:
        """Whether the record has a number of any of its claims."""
        return any(claim.measured for claim in (self.lead, *self.further))


QUESTIONS = (
    Question("Does BatchNorm train faster?", "yes", ("C1", "C2", "C4")),
    Question("Does it reduce internal covariate shift?", "no", ("C7", "C3", "C5", "C6", "C8", "C17")),
    Question("Is the loss smoother along the gradient?", "yes", ("C9", "C10", "C11", "C12", "C13", "C24")),
    Question("Do other normalizers do the same?", "yes", ("C14", "C15", "C16")),
    Question("Does smoothness go with speed?", "not asked", ("C23",)),
    Question("Are the theorems true as printed?", "yes", ("C18", "C19", "C20", "C21", "C22")),
)
# Claim: its deciding part, and the sentence for its number. No sentence says how the number turned out.
SENTENCES = {
    "C1": ("speed", "To 90 % train accuracy the plain network takes {} times the steps of BatchNorm"),
    "C2": ("rate_ratio", "The largest learning rate at which BatchNorm still trains is {} times the plain network's"),
    "C3": ("relative_mean_conv", "The plain network's convolution outputs move {} times as far as BatchNorm's"),
    "C4": ("closer_area", "In mean train accuracy noisy BatchNorm is nearer to BatchNorm than to plain by {}"),
    "C5": (
        "mean",
        "Under noisy BatchNorm activations move {} times as far as in plain, in the layer where that is least",
    ),
    "C6": ("final", "With the noise the plain network ends at a train accuracy of {}"),
    "C7": ("l2", "At equal loss the layers' gradients shift {} times as far with BatchNorm as without"),
    "C8": ("none_least", "The least cosine of the plain deep linear network's gradients (2 layers, 2 rates) is {}"),
    "C9": ("gradient", "Along its gradient the plain network's loss varies {} times as much as BatchNorm's"),
    "C10": ("gradient", "Along its gradient the plain network's gradient changes {} times as much as BatchNorm's"),
    "C11": ("beta", "The effective β with BatchNorm is {} times the plain network's"),
    "C12": ("near", "Up to the learning rate the plain deep linear network's β is {} times BatchNorm's"),
    "C13": ("loss_range_ratio", "Plain over BatchNorm, the loss band in random directions is {} times the gradient's"),
    "C14": ("farthest", "In steps to 90 % the ℓp normalizer farthest from BatchNorm is away by a factor of {}"),
    "C15": ("l1_against_batch", "On the deep linear network ℓ1 ends at {} times BatchNorm's loss"),
    "C16": (
        "farthest",
        "Loss band, gradient change and β under ℓp: the farthest from BatchNorm's is away by a factor of {}",
    ),
    "C17": ("relative_mean_conv", "Convolution 11 moves {} times as far as in plain, under the ℓp where that is least"),
    "C22": ("weakest", "The weakest of the theory's assumptions holds in a share {} of the cases"),
    "C23": ("within_rates", "Within one learning rate the rank correlation of β with steps to accuracy is {}"),
    "C24": (
        "reversal_distance",
        "The step at which BatchNorm's gradient turns from less to more steady than plain's is {}",
    ),
}


def answers(found: Sequence[Standing]) -> list[Answer]:
    """The questions that a claim among `found` answers, in their order; the first of its claims leads."""
    of = {one.id: one for one in found}
    present = ((question, [of[name] for name in question.claims if name in of]) for question in QUESTIONS)
    return [Answer(question, mine[0], sentence(mine[0]), tuple(mine[1:])) for question, mine in present if mine]


def sentence(claim: Standing) -> str:
    """`To 90 % train accuracy the plain network takes 3.4 to 3.75 times the steps … (median 3.5, n = 5; paper 2.06).`

    What it says is the interval: a median says nothing of what other seeds would give. Empty where nothing was
    measured, where the interval excludes nothing, and where the number is that of an earlier rule's other quantity.
    """
    if claim.group == "theory":
        named = claim.statement.partition(":")[0]  # Theorem 4.1
        return f"{named} as printed: counterexamples; corrected: none." if claim.verdict == ERRATUM else ""
    part, text = SENTENCES.get(claim.id, ("", ""))
    said = extent(claim)
    if part != claim.part or not said:
        return ""
    beside = [f"median {claim.number}"] if claim.ends and claim.number and claim.number != said else []
    beside.append(f"n = {claim.seeds}")
    paper = f"; paper {claim.paper_number}" if claim.paper_number else ""
    return f"{text.format(said)} ({', '.join(beside)}{paper})."


def extent(claim: Standing) -> str:
    """The interval in words: `3.4 to 3.75`, `at least 5.17`, `at most 0.4`; the number itself where it has none."""
    low, high = claim.ends or (claim.number, claim.number)
    if low == high:
        return low
    if high == "∞":
        return "" if low in ("0", "−∞") else f"at least {low}"
    return f"at most {high}" if low == "−∞" else f"{low} to {high}"


def summary(found: Sequence[Standing]) -> str:
    """`17 claims of the paper: 3 reproduced, …. 4 statements: 4 erratum. 3 questions of our own: 3 undecided.`"""
    parts = (
        ("claims of the paper on networks", [one for one in found if one.group in ("empirical", "deep linear")]),
        ("statements", [one for one in found if one.group == "theory"]),
        ("questions of our own", [one for one in found if one.group == "own"]),
    )
    return " ".join(f"{len(mine)} {title}: {counts_in_words(mine)}." for title, mine in parts if mine)


def by_verdict(claims: Sequence[Standing]) -> dict[str, list[Standing]]:
    """The claims by their verdict, in the order of verdicts."""
    grouped = {word: [claim for claim in claims if claim.verdict == word] for word in (*VERDICTS, NOT_SCORED)}
    return {word: mine for word, mine in grouped.items() if mine}


def by_group(found: Sequence[Standing]) -> dict[str, list[Standing]]:
    """The claims by the title of their group, in the order of groups; those without one come last, by name."""
    titles = {**GROUPS, **{one.group: one.group for one in found if one.group not in GROUPS}}
    titled = {title: [one for one in found if one.group == group] for group, title in titles.items()}
    return {f"{title[:1].upper()}{title[1:]}": mine for title, mine in titled.items() if mine}
