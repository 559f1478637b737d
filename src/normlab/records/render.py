"""A record's verdicts, metrics, figures and page, from its tables alone."""

import shutil
import tempfile
from pathlib import Path

from normlab.pages.found import DIFFERENCES, FOUND, pages_of
from normlab.pages.record_page import record_page
from normlab.pages.records import Record
from normlab.pages.results import Results
from normlab.records.drawings import DRAWINGS, TABLED, TOLD, write_svg
from normlab.records.record import stored
from normlab.records.results import record_tables, score, settings, unpack, write_json
from normlab.specs.strict import InputError

RENDERED = ("claims.json", "metrics.json", "settings.json", "figures", "README.md", FOUND, DIFFERENCES)


def render(record: Record) -> None:
    """Write what `RENDERED` names into the record, from its tables; the same bytes for the same tables and code.

    Raises:
        InputError: the record has no tables, or a damaged one.
    """
    params = record.params
    if not stored(record, "measurements"):
        raise InputError(f"{record.folder}: no finished work; nothing to render")
    tables = record_tables(record)
    claims, metrics = score(tables, params)
    for content, name in ((claims, "claims"), (metrics, "metrics"), (settings(record), "settings")):
        write_json(content, record.folder / f"{name}.json")
    with tempfile.TemporaryDirectory(prefix="normlab-record-") as name:
        results = Results.load(**unpack(record, Path(name), tables).paths)
        figures = Path(name) / "drawn"  # beside what was unpacked, which has the sentences of before
        figures.mkdir()
        for file, draw in DRAWINGS.items():
            write_svg(draw(results), figures / f"{file}.svg")
        for suffix, written in (("md", TOLD), ("table.md", TABLED)):
            for file, write in written.items():
                if text := write(results):
                    (figures / f"{file}.{suffix}").write_text(text, encoding="utf-8")
        shutil.rmtree(record.folder / "figures", ignore_errors=True)
        shutil.copytree(figures, record.folder / "figures")
    now = Record(record.folder)
    for file, text in pages_of(now).items():
        (record.folder / file).write_text(text, encoding="utf-8")
    (record.folder / "README.md").write_text(record_page(now), encoding="utf-8")  # it lists the other files
