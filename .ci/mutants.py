"""`make mutants`: small changes of the science, one at a time; the tests that mirror the changed module have to fail.

Cosmic Ray makes the changes, in a copy of the commit under `scratch/mutants/`. What is tried is a random sample of the
places where it can make one, in an order that the seed fixes: a later call with a larger `--count` goes on where the
one before ended. Results lie in Cosmic Ray's own databases beside the copy, one a room (`cr-report` reads them).

This program has an environment of its own (`.ci/mutants.lock`); the tests run in the project's, each time in a process
forked from one that has imported torch and pandas already.
"""

import argparse
import ast
import os
import random
import re
import subprocess
import sys
from collections import Counter
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
FACTOR, SECONDS = 5, 30
NO_ARITHMETIC = ("Shift", "BitAnd", "BitOr", "BitXor")  # in place of + they raise TypeError, which tells nothing
WARM = """
import os, resource, sys
import numpy, pandas, pyarrow.parquet, pytest, scipy.stats, torch  # Hypothesis: pytest has to rewrite it
for line in sys.stdin:
    seconds, *tests = line.split()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os._exit(pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]))
    _, status, usage = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, flush=True)
"""


class Tests:
    """A process that runs tests in `tree`, forking for each call, with the heavy imports made once."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        paths = {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        python = os.environ.get("NORMLAB_PYTHON", str(ROOT / ".venv/bin/python"))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([python, "-c", WARM], cwd=tree, env=os.environ | paths, **pipes)

    def run(self, tests: list[str], seconds: float) -> tuple[int, float]:
        """Exit status of pytest (negative: killed by a signal), and the processor's seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(int(seconds), *tests, file=self.process.stdin, flush=True)
        status, used = self.process.stdout.readline().split()
        return int(status), float(used)

    @cache  # noqa: B019 - one object a program
    def limit(self, module: str) -> float:
        """How many of the processor's seconds the tests of `module` may take; without a mutant they have to pass."""
        status, used = self.run(tests_of(self.tree, module), 3600)
        if status:
            sys.exit(f"{module}: its tests fail without any mutant (pytest's status {status})")
        return FACTOR * used + SECONDS


@cache
def tests_of(tree: Path, module: str) -> list[str]:
    """The test files that bear a module's name or import from it; the whole folder where none bears its name."""
    inner = Path(module).relative_to("src/normlab").with_suffix("")
    folder = next(path for path in (tree / "tests" / inner).parents if path.is_dir())
    dotted = re.compile(rf"\bnormlab[.]{'[.]'.join(inner.parts)}\b")
    files = sorted((tree / "tests" / inner.parts[0]).rglob("test_*.py"))
    chosen = {path for path in files if dotted.search(path.read_text("utf-8"))}
    mirror = folder / f"test_{inner.name}.py"
    if not mirror.is_file():
        mirror, chosen = folder, {path for path in chosen if folder not in path.parents}
    return sorted(str(path.relative_to(tree)) for path in {mirror, *chosen})


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the type annotations begin and end (line, column): a change there changes nothing that runs."""
    hints = []
    for node in ast.walk(ast.parse(source)):
        hints += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [((h.lineno, h.col_offset), (h.end_lineno, h.end_col_offset)) for h in hints if isinstance(h, ast.expr)]


def copy_of(commit: str, folder: Path) -> Path:
    """The files of a commit, so that no mutant ever stands where people work."""
    tree = folder / "tree"
    if not tree.exists():
        tree.mkdir(parents=True)
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


def tried(item: WorkItem, tests: Tests) -> WorkResult:
    """What became of one mutant."""
    spec = _of(item)
    seconds = tests.limit(str(spec.module_path))
    source = spec.module_path.read_text("utf-8")
    mutant = mutate_code(source, get_operator(spec.operator_name)(**spec.operator_args), spec.occurrence)
    if mutant is None or mutant == source:
        return WorkResult(WorkerOutcome.NO_TEST)
    try:
        spec.module_path.write_text(mutant, "utf-8")
        status, _ = tests.run(tests_of(tests.tree, str(spec.module_path)), seconds)
    finally:
        spec.module_path.write_text(source, "utf-8")
    # 1: a test failed; 2 and above: they could not even be imported; below 0: endless or crashed
    outcome = {0: TestOutcome.SURVIVED, 1: TestOutcome.KILLED}.get(status, TestOutcome.INCOMPETENT)
    old, new = source.splitlines(), mutant.splitlines()
    line = next((number for number, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
    diff = f"{spec.module_path}:{line + 1}\n- {old[line].strip()}\n+ {new[line].strip()}"
    return WorkResult(WorkerOutcome.NORMAL, f"pytest's status {status}", outcome, diff)


def try_room(room: str, folder: Path, tests: Tests, count: int, seed: int) -> tuple[list[WorkResult], int]:
    """What became of the first `count` mutants of a room, and how many it has."""
    with use_db(folder / f"{room}.sqlite") as database:
        items = sample(database, room, seed)
        known = dict(database.results)
        for number, item in enumerate(items[:count], start=1):
            if item.job_id in known:
                continue
            known[item.job_id] = result = tried(item, tests)
            database.set_result(item.job_id, result)
            name = result.test_outcome.value if result.test_outcome else "none made"
            print(f"{room} {number}: {name}: {' | '.join((result.diff or '').splitlines())}", flush=True)
        return [known[item.job_id] for item in items[:count] if known[item.job_id].test_outcome], len(items)


def main() -> int:
    """Try the first `--count` mutants of the sample of each room, and say which survived."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--count", type=int, default=50, help="how many of each room, those of earlier calls among them"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample's order")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS))
    args = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = ROOT / "scratch/mutants" / commit
    tests = Tests(copy_of(commit, folder))
    os.chdir(tests.tree)  # Cosmic Ray keeps the paths that it is given
    survivors = []
    for room in args.rooms:
        found, places = try_room(room, folder, tests, args.count, args.seed)
        survivors += [str(result.diff) for result in found if result.test_outcome == TestOutcome.SURVIVED]
        counts = Counter(str(result.test_outcome.value) for result in found if result.test_outcome)
        print(f"{room}, {commit}, seed {args.seed}: {len(found)} of {places} places tried: {dict(counts)}", flush=True)
    print("\n".join(["survived:", *survivors] if survivors else ["none survived"]))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
