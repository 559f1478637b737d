"""Every use of randomness has a stream of its own, and `normlab.seeding.STREAMS` lists them all."""

import ast
from collections import Counter
from collections.abc import Iterator

from tests.architecture.imports import modules

from normlab.seeding import STREAMS

REPEATED = {"noise"}  # on purpose: a probe of step t sees the draws of training's update t
APART = ("normlab.studies.deep_linear", "normlab.studies.statements.random_cases")  # train no network of `runs`


def _uses() -> Iterator[tuple[str, ast.expr]]:
    """(module, first name) of every call that starts a stream."""
    for module in modules().values():
        if module.name == "normlab.seeding":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and len(node.args) >= 2:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in ("generator", "seed_all", "derive"):
                    yield module.name, node.args[1]


def test_every_stream_is_named_in_place_and_listed() -> None:
    names = set()
    for module, argument in _uses():
        literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        assert literal, f"{module}: the first name of a stream is a text in place, so that it can be found"
        names.add(argument.value)
    assert names == set(STREAMS)


def test_no_two_uses_in_one_study_share_a_stream() -> None:
    studies = Counter(
        (next((study for study in APART if module.startswith(study)), "runs"), argument.value)
        for module, argument in _uses()
        if argument.value not in REPEATED
    )
    assert [use for use, count in studies.items() if count > 1] == []
