"""Which tests may notice that a module is changed, in which order, and whether they do: for `mutants.py`."""

import ast
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of the processor's time, which does not depend on what else the machine does: a mutant may need this many times what
# the tests need without it, and this much more; then it is killed for being endless.
FACTOR, SECONDS = 3, 20
OTHERS = 30  # seconds together: tests of files that do not name the changed module, of its room and again of the others
ROOMS = ("nn", "probes", "theory", "runs", "studies", "analysis")  # which are changed
ROOMS_BESIDE = ("records", "tables", "stages", "figures", "pages", "integrations")  # whose tests run much of those
PROGRAMS = re.compile(r"\b(subprocess|playwright)\b")  # a file of those rooms that starts programs is left out,
DEAR = 60  # and one that needs more seconds than this
DECLARED = "tests/architecture/test_declarations.py"  # enters no function: it reads signatures and sources
NO_TESTS = 5  # pytest's status where none of the tests asked for is there


class Tests:
    """A process that runs tests in `tree`, and what it has found out about them without any mutant."""

    def __init__(self, tree: Path) -> None:
        self.tree, self.records = tree, tree.parent.parent / "entered"
        self.records.mkdir(exist_ok=True)
        self.sources = hashlib.sha256()
        for path in sorted([*(tree / "src").rglob("*.*"), *(tree / "tests").rglob("*.py")]):
            if path.is_file() and not path.name.startswith("test_") and path.suffix != ".pyc":
                self.sources.update(path.read_bytes())
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
        files_of = {} if record else {file: self.known(file) for file in files}
        known = {name: test["seconds"] for tests in files_of.values() for name, test in tests.items()}
        seconds = sum(known[name] for name in (first if only else known))
        if only:  # which of a file's tests pays for its fixtures is another one then
            seconds += sum(max(test["seconds"] for test in tests.values()) for tests in files_of.values())
        call["seconds"] = DEAR if record else int(FACTOR * seconds + SECONDS)
        if record and Path(files[0]).parts[1] in ROOMS:
            call["seconds"] = 3600
        print(json.dumps(call), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())["status"]

    @cache  # noqa: B019 - one object a program
    def known(self, file: str) -> dict[str, dict]:
        """By test of a file, its seconds and the functions that it enters; without a mutant all have to pass.

        What was recorded holds for every commit with the same sources, helpers of tests and test file.
        """
        digest = self.sources.copy()
        digest.update((self.tree / file).read_bytes())
        record = self.records / f"{file.replace('/', '.')}.{digest.hexdigest()[:16]}.json"
        if not record.exists():
            status = self.run([file], [], record=record)
            if status == -signal.SIGXCPU:
                record.write_text("{}", "utf-8")
            elif status:
                sys.exit(f"{file} fails without any mutant (pytest's status {status})")
        return json.loads(record.read_text("utf-8"))

    def of_room(self, room: str) -> list[str]:
        """All test files of a room."""
        return sorted(str(path.relative_to(self.tree)) for path in (self.tree / "tests" / room).rglob("test_*.py"))

    def beside(self, room: str) -> list[str]:
        """The test files of other rooms; of those that are not changed, what runs tests in its own process."""
        changed = [file for other in ROOMS if other != room for file in self.of_room(other)]
        files = [file for other in ROOMS_BESIDE for file in self.of_room(other)]
        alone = [file for file in files if not PROGRAMS.search((self.tree / file).read_text("utf-8"))]
        return [*changed, *alone, DECLARED]

    def notice(self, module: str, lines: tuple[int, int]) -> int:
        """Pytest's status for the tests of a module that is changed at `lines`.

        First the files that name the module, and of them the tests that enter what is changed, the quickest file
        before the others: these are nearly always the ones that fail. A file none of whose tests enters it cannot
        notice, since each was recorded in a process of its own; where none does, all are run. Then, of the other files
        of the room, and at last of other rooms, the quickest tests that enter it, so that more may be noticed than is
        said.
        """
        room = Path(module).parts[2]
        named = tests_of(self.tree, module)
        entering = {file: self.entering(file, module, lines) for file in named}
        files = [file for file in named if entering[file]] or named
        status = self.run(files, [name for file in _quickest(entering) for name in entering[file]])
        for others in (sorted({*self.of_room(room)} - {*named}), self.beside(room)):
            status = status or self._quick_ones(others, module, lines)
        return status or self.run([DECLARED], [])

    def _quick_ones(self, files: list[str], module: str, lines: tuple[int, int]) -> int:
        """Pytest's status for the quickest tests of some files that enter what is changed."""
        entering = {file: self.entering(file, module, lines) for file in files}
        quick, spent = [], 0.0
        for seconds, name in sorted((seconds, name) for tests in entering.values() for name, seconds in tests.items()):
            spent += seconds
            quick += [name] if spent <= OTHERS else []
        first = [name for file in _quickest(entering) for name in entering[file] if name in quick]
        chosen = [file for file in files if {*entering[file]} & {*quick}]
        status = self.run(chosen, first, only=True) if chosen else 0
        return 0 if status == NO_TESTS else status  # a mutant may give the cases of a test other names

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
