"""Stage `report`: run one notebook on the study's tables and write it as a self-contained HTML page.

The only module that imports papermill and nbconvert.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from normlab.pages.mathml import to_mathml
from normlab.pages.records import the_record
from normlab.pages.shell import Shows, page, write_page
from normlab.specs.report import ReportSpec
from normlab.specs.strict import InputError, load_section
from normlab.stages import command

PREFIX = "normlab-page-"  # of temporary folders
LONGEST_SOCKET_NAME = 100  # bytes; Linux takes 107, other systems 103


class _Renderer(IPythonRenderer):
    """Markdown whose formulas become MathML."""

    def inline_math(self, body: str) -> str:
        return to_mathml(body, block=False)

    def block_math(self, body: str) -> str:
        return to_mathml(body, block=True)


def declared(notebook: Path) -> list[str]:
    """The parameters that a notebook takes, read from its cell with the tag `parameters`.

    Raises:
        InputError: no such notebook, or one that names no kernel.
    """
    if not notebook.is_file():
        raise InputError(f"{notebook}: no such notebook")
    try:
        return list(papermill.inspect_notebook(str(notebook)))
    except (ValueError, nbformat.ValidationError) as error:
        raise InputError(f"{notebook}: not a notebook with a kernel: {' '.join(str(error).split())}") from None


def execute(notebook: Path, parameters: dict[str, Any]) -> nbformat.NotebookNode:
    """Run `notebook` in a fresh kernel of this environment, in the working directory; nothing is written.

    Raises:
        InputError: a parameter that the notebook does not declare, or a cell that failed.
        ChildProcessError: the kernel died or never answered.
    """
    known = declared(notebook)
    for name in parameters:
        if name not in known:
            raise InputError(f"{notebook}: unknown parameter {name!r}; accepted: {', '.join(known) or 'none'}")
    with command.temporary_folder(PREFIX) as scratch, _place_for_sockets(scratch) as place:
        # the kernel is this environment's and reads no start-up files of the user; two pages at once share nothing
        settings = {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(scratch), "JUPYTER_RUNTIME_DIR": str(scratch)}
        sockets = {"transport": "ipc", "ip": f"{place}/kernel"} if sys.platform.startswith("linux") else {}
        quiet = ["--Application.log_level=50"]  # it logs its own orderly end as an error
        logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it logs as an error it raises as well
        try:
            with _environment(settings):
                return papermill.execute_notebook(
                    str(notebook),
                    None,
                    parameters,
                    kernel_name="python3",
                    progress_bar=False,
                    config=Config({"KernelManager": sockets}),
                    extra_arguments=quiet,
                )
        except PapermillExecutionError as error:
            reason = " ".join(f"{error.ename}: {error.evalue}".split())
            start = error.source.strip().partition("\n")[0]
            raise InputError(f"{notebook}: the cell starting with `{start}` failed with {reason}") from None
        except RuntimeError as error:  # of nbclient, which has no narrower class for a kernel that does not start
            reason = "died, probably out of memory" if "died" in str(error) else f"failed: {error}"
            raise ChildProcessError(f"{notebook}: its kernel {reason}") from None


@contextmanager
def _place_for_sockets(scratch: Path) -> Iterator[Path]:
    """`scratch`, or a folder of a short name where those of its sockets would be longer than the system takes."""
    if len(os.fsencode(scratch / "kernel-99")) <= LONGEST_SOCKET_NAME:
        yield scratch
    else:
        with command.temporary_folder(PREFIX, within=Path("/tmp")) as place:
            yield place


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """These environment variables for the time of the block, for the kernel to inherit."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def to_body(notebook: nbformat.NotebookNode) -> str:
    """The notebook's text, outputs and folded code as HTML, without times, counters and ids."""
    kept = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook = nbformat.from_dict({**notebook, "cells": kept})
    templates = str(resources.files("normlab.pages").joinpath("template"))
    exporter = HTMLExporter(extra_template_basedirs=[templates], template_name="normlab")
    markdown = MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True))
    exporter.register_filter("markdown2html", markdown.render)
    body, _ = exporter.from_notebook_node(notebook)
    return body.strip()


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The text of the first heading."""
    for cell in notebook.cells:
        found = re.search(r"^# (.+)$", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found.group(1)
    return "Report"


def main(argv: list[str] | None = None) -> None:
    """Render one notebook of the report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--notebook", required=True, help="name in notebooks/, such as 02-landscape, or a path")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--record", type=Path, help="the folder of a published record: show that one's results")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a further parameter")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    path = Path(args.notebook)
    path = path if path.suffix == ".ipynb" else Path("notebooks") / f"{path.name}.ipynb"
    known = declared(path)
    if args.record:
        record = the_record(args.record)
        if record.manifest["finished"] and not (args.record / "tables").is_dir():
            raise InputError(f"--record {args.record}: its tables are those of runs; `make site` renders its pages")
        shows, parameters = record.shows, {name: value for name, value in record.paths.items() if name in known}
    else:
        about = load_section(args.params, "report", ReportSpec)
        shows = Shows(about.preset, "Preset", pages=about.notebooks)
        parameters = {"params": str(args.params)} if "params" in known else {}
    for setting in args.set:
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: expected NAME=VALUE")
        parameters[name] = value
    notebook = execute(path, parameters)
    write_page(args.out, page(title_of(notebook), to_body(notebook), path.stem, shows))


if __name__ == "__main__":
    command.run(main)
