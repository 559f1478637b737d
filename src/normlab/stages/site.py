"""Program `site`: the published records as a static site, from what is in Git. Nothing is trained.

A record with tables has all pages, one without has one page of claims; the first page is that of the README's record.
"""

import argparse
import os
import posixpath
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from normlab.pages.readme import shown_record
from normlab.pages.records import Record, in_folder, records
from normlab.pages.script import write_script
from normlab.pages.shell import write_page
from normlab.pages.sources import FROM_PAGE
from normlab.records.results import unpack
from normlab.specs.strict import InputError
from normlab.stages import command
from normlab.stages.index import of_record

LARGEST_PAGE = 1_500_000  # bytes, beside the shared script: first paint from a slow disk or line
LINK = re.compile(r'\b(href|src)="(?![a-z]+:|#)([^"]+)"')  # to another file


def main(argv: list[str] | None = None) -> None:
    """Render every published record into --out; what stood there is replaced as a whole."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path("."), help="the repository")
    parser.add_argument("--out", type=Path, default=Path("site"))
    parser.add_argument(
        "--sources",
        default=os.environ.get("SOURCES", ""),
        help="address of the folder that holds src/ for readers of the site; default: this clone",
    )
    args = parser.parse_args(argv)
    if args.sources and not re.fullmatch(r"https://\S+", args.sources):
        raise InputError(f"SOURCES: expected an address https://…, got {args.sources!r}")
    first = shown_record((args.root / "README.md").read_text(encoding="utf-8"), args.root)
    with command.new_folder(args.out) as folder, tempfile.TemporaryDirectory(prefix="normlab-site-") as scratch:
        found = readable(args.root, Path(scratch))
        _write(found, folder, args.root)
        sources = args.sources or os.path.relpath(args.root, args.out / first)
        for path in folder.glob("*/*.html"):
            text = path.read_text(encoding="utf-8")
            write_page(path, text.replace(f'href="{FROM_PAGE}src/', f'href="{sources.rstrip("/")}/src/'))
        write_page(folder / "index.html", one_folder_up((folder / first / "index.html").read_text("utf-8"), first))
    for path in sorted(args.out.rglob("*.html")):
        if (size := path.stat().st_size) > LARGEST_PAGE:
            print(f"note: {path} has {size / 1e6:.2f} MB, more than {LARGEST_PAGE / 1e6:g}", file=sys.stderr)
    print(args.out / "index.html")


def _write(found: Sequence[Record], folder: Path, root: Path) -> None:
    """All pages of all records, and their script; what takes a kernel side by side, as many as there are cores.

    Raises:
        ChildProcessError: a process that renders pages was killed.
    """
    out = folder.resolve()
    jobs = [(one.folder.resolve(), name, out / one.name / f"{name}.html") for one in found for name in one.pages]
    # not forked: libraries have threads by now
    workers = ProcessPoolExecutor(os.cpu_count() or 1, get_context("spawn"), _begin, (root,))
    with workers as pool:
        rendering = [pool.submit(_render, *job) for job in jobs]
        try:
            for record in found:
                write_page(folder / record.name / "index.html", of_record(record))
            write_script(folder)
            for job in rendering:
                job.result()
        except BrokenProcessPool:
            raise ChildProcessError("a process that renders pages died, probably out of memory") from None
        finally:
            pool.shutdown(cancel_futures=True)


def readable(root: Path, folder: Path) -> list[Record]:
    """All records as pages read them, side by side in `folder`: those with tables of runs are unpacked there."""
    for record in records(root):
        if record.manifest["finished"]:
            (folder / record.name).mkdir()
            unpack(record, folder / record.name)
        else:
            (folder / record.name).symlink_to(record.folder.resolve())
    return in_folder(folder)


def one_folder_up(text: str, folder: str) -> str:
    """The page as it has to be one folder above `folder`, where it was: with its links to other files led there."""
    return LINK.sub(lambda found: f'{found[1]}="{posixpath.normpath(f"{folder}/{found[2]}")}"', text)


def _begin(root: Path) -> None:
    """Start a process that renders pages: where notebooks are, and with Ctrl-C as one more way to be ended."""
    os.chdir(root)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, command.terminate)


def _render(record: Path, notebook: str, out: Path) -> None:
    """One page, by the program of the stage `report`: it runs in a kernel of its own."""
    from normlab.stages import report  # seconds, which each process of the pool spends once, and this one never

    try:
        report.main(["--record", str(record), "--notebook", notebook, "--out", str(out)])
    except InputError as error:
        raise InputError(f"{record.name}: {error}") from None


if __name__ == "__main__":
    command.run(main)
