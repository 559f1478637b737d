"""Which tests may notice that a module is changed, in which order, and whether they do: for `mutants.py`."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of the processor's time, which does not depend on what else the machine does: a mutant may need this many times what
# the tests need without it, and this much more; then it is killed for being endless.
FACTOR, SECONDS = 3, 20
OTHERS = 30  # seconds together: tests of files that do not name the changed module


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
