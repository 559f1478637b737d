"""`make mutants`: small changes of the science, one at a time; tests have to fail.

Cosmic Ray makes the changes, in a copy of the commit under `scratch/mutants/`. What is tried is a random sample of the
places where it can make one, in an order that the seed fixes: a later call with a larger `--count` goes on where the
one before ended. Results lie in Cosmic Ray's own databases beside the copy, one a room (`cr-report` reads them).

This program has an environment of its own (`.ci/mutants.lock`); the tests run in the project's (`forked_tests.py`).
"""

import argparse
import ast
import math
import os
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from mutants_noticed import ROOMS, ROOT, Tests, lines_of

NO_ARITHMETIC = ("Shift", "BitAnd", "BitOr", "BitXor")  # in place of + they raise TypeError, which tells nothing


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the type annotations begin and end (line, column): a change there changes nothing that runs."""
    hints = []
    for node in ast.walk(ast.parse(source)):
        hints += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [((h.lineno, h.col_offset), (h.end_lineno, h.end_col_offset)) for h in hints if isinstance(h, ast.expr)]


def copy_of(commit: str, folder: Path) -> Path:
    """The files of a commit, so that no mutant ever stands where people work.

    They are written at each call: one that was killed may have left a mutant.
    """
    tree = folder / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=tree, input=archive, check=True)
    return tree


def sample(database: WorkDB, room: str, seed: int) -> list[WorkItem]:
    """One mutant of every place in a room, but those of annotations, in the order that the seed gives."""
    if not database.num_work_items:
        init(sorted(Path("src/normlab", room).rglob("*.py")), database, {})
    hidden = {path: annotations(path.read_text("utf-8")) for path in Path("src/normlab", room).rglob("*.py")}
    items = [item for item in database.work_items if not _of(item).operator_name.endswith(NO_ARITHMETIC)]
    items = [item for item in items if not _hidden(_of(item), hidden[_of(item).module_path])]
    items.sort(key=lambda item: (str(_of(item).module_path), _of(item).operator_name, _of(item).occurrence))
    random.Random(seed).shuffle(items)
    # of + there are eleven replacements, most of which no test could miss
    places = {
        (_of(item).module_path, _of(item).start_pos, _of(item).operator_name.partition("_")[0]): item for item in items
    }
    return list(places.values())


def _hidden(spec: MutationSpec, places: list[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    return any(start <= tuple(spec.start_pos) < end for start, end in places)


def _of(item: WorkItem) -> MutationSpec:
    return item.mutations[0]


def _compiles(source: str) -> bool:
    # `{%settings}` for `{**settings}` is no Python, `is "none"` a warning: no test is needed to notice them
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(source, "mutant", "exec")
        except (SyntaxError, SyntaxWarning):
            return False
    return True


def tried(item: WorkItem, tests: Tests) -> WorkResult:
    """What became of one mutant."""
    spec = _of(item)
    source, times = spec.module_path.read_text("utf-8"), spec.module_path.stat()
    mutant = mutate_code(source, get_operator(spec.operator_name)(**spec.operator_args), spec.occurrence)
    if mutant is None or mutant == source or not _compiles(mutant):
        return WorkResult(WorkerOutcome.NO_TEST)
    begun = time.monotonic()
    try:
        spec.module_path.write_text(mutant, "utf-8")
        status = tests.notice(str(spec.module_path), lines_of(source, spec.start_pos[0]))
    finally:
        spec.module_path.write_text(source, "utf-8")
        os.utime(spec.module_path, ns=(times.st_atime_ns, times.st_mtime_ns))  # what was compiled of it is valid again
    # 1: a test failed; 2 and above: they could not even be imported; below 0: endless or crashed
    outcome = {0: TestOutcome.SURVIVED, 1: TestOutcome.KILLED}.get(status, TestOutcome.INCOMPETENT)
    old, new = source.splitlines(), mutant.splitlines()
    line = next((number for number, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
    diff = f"{spec.module_path}:{line + 1}\n- {old[line].strip()}\n+ {new[line].strip()}"
    said = f"pytest's status {status}, {time.monotonic() - begun:.1f} s"
    return WorkResult(WorkerOutcome.NORMAL, said, outcome, diff)


def try_room(room: str, folder: Path, tests: Tests, count: int, seed: int) -> list[WorkResult]:
    """What became of the first `count` mutants of a room."""
    with use_db(folder / f"{room}.sqlite") as database:
        items = sample(database, room, seed)[:count]
        for file in [*tests.of_room(room), *tests.beside(room)]:
            tests.known(file)  # recorded now, since no mutant is there yet
        known = dict(database.results)
        for number, item in enumerate(items, start=1):
            if item.job_id in known:
                continue
            known[item.job_id] = result = tried(item, tests)
            database.set_result(item.job_id, result)
            name = result.test_outcome.value if result.test_outcome else "none made"
            print(f"{room} {number}: {name}, {result.output}: {' | '.join(str(result.diff).splitlines())}", flush=True)
        return [known[item.job_id] for item in items if known[item.job_id].test_outcome]


def interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 %."""
    share, scale = successes / trials, 1 + z**2 / trials
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return (share + z**2 / (2 * trials) - half) / scale, (share + z**2 / (2 * trials) + half) / scale


def main() -> int:
    """Try the first `--count` mutants of the sample, which each room shares by its places; say which survived."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many in all, those of earlier calls among them")
    parser.add_argument("--seed", type=int, default=0, help="of the sample's order")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--commit", default="HEAD", help="whose code and tests; an earlier one's sample goes on")
    args = parser.parse_args()
    revision = ["git", "rev-parse", "--short=12", args.commit]
    commit = subprocess.run(revision, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    folder = ROOT / "scratch/mutants" / commit
    tests = Tests(copy_of(commit, folder))
    os.chdir(tests.tree)  # Cosmic Ray keeps the paths that it is given
    places = {}
    for room in args.rooms:
        with use_db(folder / f"{room}.sqlite") as database:
            places[room] = len(sample(database, room, args.seed))
    results = []
    with tests.process:  # it ends with its input
        for room in args.rooms:
            count = round(args.count * places[room] / sum(places.values()))
            found = try_room(room, folder, tests, count, args.seed)
            counts = dict(Counter(str(result.test_outcome.value) for result in found))
            print(f"{room}, {commit}, seed {args.seed}: {len(found)} of {places[room]} places: {counts}", flush=True)
            results += found
    survivors = [str(result.diff) for result in results if result.test_outcome == TestOutcome.SURVIVED]
    noticed = len(results) - len(survivors)
    low, high = interval(noticed, len(results))
    print(f"{noticed} of {len(results)} noticed: {noticed / len(results):.1%}, 95 % interval {low:.1%} to {high:.1%}")
    print("\n".join(["survived:", *survivors] if survivors else ["none survived"]))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
