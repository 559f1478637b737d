"""`make mutants`: small changes of the science, one at a time; the tests that mirror the changed module have to fail.

Cosmic Ray makes the changes, in a copy of the commit under `scratch/mutants/`. What is tried is a random sample of the
places where it can make one, in an order that the seed fixes: a later call with a larger `--count` goes on where the
one before ended. Results lie in Cosmic Ray's own databases beside the copy, one a room (`cr-report` reads them).

This program has an environment of its own (`.ci/mutants.lock`); the tests run in the project's (`forked_tests.py`).
"""

import argparse
import ast
import json
import math
import os
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("nn", "probes", "theory", "runs", "studies", "analysis")
# Of the processor's time, which does not depend on what else the machine does: a mutant may need this many times what
# the tests need without it, and this much more; then it is killed for being endless.
FACTOR, SECONDS = 3, 20
OTHERS = 30  # seconds together: tests of files that do not name the changed module
NO_ARITHMETIC = ("Shift", "BitAnd", "BitOr", "BitXor")  # in place of + they raise TypeError, which tells nothing


class Tests:
    """A process that runs tests in `tree`, and what it has found out about them without any mutant."""

    def __init__(self, tree: Path) -> None:
        self.tree, self.records = tree, tree.parent / "tests"
        self.records.mkdir(exist_ok=True)
        paths = {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        python = os.environ.get("NORMLAB_PYTHON", str(ROOT / ".venv/bin/python"))
        program = [python, str(Path(__file__).with_name("forked_tests.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(program, cwd=tree, env=os.environ | paths, **pipes)

    def run(self, files: list[str], first: Sequence[str], only: bool = False, record: Path | None = None) -> int:
        """Exit status of pytest, negative where a signal ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        call: dict[str, object] = {"files": files, "first": first, "only": only, "record": record and str(record)}
        known = {} if record else {name: test["seconds"] for file in files for name, test in self.known(file).items()}
        seconds = FACTOR * sum(known[name] for name in (first if only else known)) + SECONDS
        call["seconds"] = 3600 if record else int(seconds)
        print(json.dumps(call), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())["status"]

    @cache  # noqa: B019 - one object a program
    def known(self, file: str) -> dict[str, dict]:
        """By test of a file, its seconds and the functions that it enters; without a mutant all have to pass."""
        record = self.records / f"{file.replace('/', '.')}.json"
        if not record.exists():
            status = self.run([file], [], record=record)
            if status:
                sys.exit(f"{file} fails without any mutant (pytest's status {status})")
        return json.loads(record.read_text("utf-8"))

    def notice(self, module: str, lines: tuple[int, int]) -> int:
        """Pytest's status for the tests of a module that is changed at `lines`.

        First the files that name the module, and of them the tests that enter what is changed, the quickest file
        before the others: these are nearly always the ones that fail. A file none of whose tests enters it cannot
        notice, since each was recorded in a process of its own; where none does, all are run. Then, of the other files
        of the room, the quickest tests that enter it, so that more may be noticed than is said.
        """
        named = tests_of(self.tree, module)
        entering = {file: self.entering(file, module, lines) for file in named}
        files = [file for file in named if entering[file]] or named
        status = self.run(files, [name for file in _quickest(entering) for name in entering[file]])
        if not status:
            room = (self.tree / "tests" / Path(module).parts[2]).rglob("test_*.py")
            others = sorted({str(path.relative_to(self.tree)) for path in room} - set(named))
            entering = {file: self.entering(file, module, lines) for file in others}
            quick, spent = [], 0.0
            for seconds, name in sorted(
                (seconds, name) for tests in entering.values() for name, seconds in tests.items()
            ):
                spent += seconds
                quick += [name] if spent <= OTHERS else []
            first = [name for file in _quickest(entering) for name in entering[file] if name in quick]
            files = [file for file in others if {*entering[file]} & {*quick}]
            status = self.run(files, first, only=True) if files else 0
        return status

    def entering(self, file: str, module: str, lines: tuple[int, int]) -> dict[str, float]:
        """The tests of a file that enter a function between two lines, with their seconds, the quickest first."""
        found = {
            name: test["seconds"]
            for name, test in self.known(file).items()
            if any(path == module and lines[0] <= line <= lines[1] for path, line in test["entered"])
        }
        return dict(sorted(found.items(), key=lambda pair: pair[1]))


def _quickest(entering: dict[str, dict[str, float]]) -> list[str]:
    return sorted(entering, key=lambda file: sum(entering[file].values()))


def lines_of(source: str, line: int) -> tuple[int, int]:
    """First and last line of the innermost function that holds a line; of the module where it is in none."""
    found = [
        (min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.end_lineno or line)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]
    return max((span for span in found if span[0] <= line <= span[1]), default=(1, len(source.splitlines())))


@cache
def tests_of(tree: Path, module: str) -> list[str]:
    """The test files that bear a module's name or import from it; the whole folder where none bears its name."""
    inner = Path(module).relative_to("src/normlab").with_suffix("")
    folder = next(path for path in (tree / "tests" / inner).parents if path.is_dir())
    dotted = re.compile(rf"\bnormlab[.]{'[.]'.join(inner.parts)}\b")
    files = sorted((tree / "tests" / inner.parts[0]).rglob("test_*.py"))
    chosen = {path for path in files if dotted.search(path.read_text("utf-8"))}
    mirror = folder / f"test_{inner.name}.py"
    mirrors = [mirror] if mirror.is_file() else folder.rglob("test_*.py")
    return sorted(str(path.relative_to(tree)) for path in {*mirrors, *chosen})


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
        for path in sorted((tests.tree / "tests" / room).rglob("test_*.py")):
            tests.known(str(path.relative_to(tests.tree)))
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
    for room in args.rooms:
        count = round(args.count * places[room] / sum(places.values()))
        found = try_room(room, folder, tests, count, args.seed)
        counts = Counter(str(result.test_outcome.value) for result in found)
        print(f"{room}, {commit}, seed {args.seed}: {len(found)} of {places[room]} places: {dict(counts)}", flush=True)
        results += found
    survivors = [str(result.diff) for result in results if result.test_outcome == TestOutcome.SURVIVED]
    noticed = len(results) - len(survivors)
    low, high = interval(noticed, len(results))
    print(f"{noticed} of {len(results)} noticed: {noticed / len(results):.1%}, 95 % interval {low:.1%} to {high:.1%}")
    print("\n".join(["survived:", *survivors] if survivors else ["none survived"]))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
