"""The README of a record, in Markdown that GitHub shows: nothing in it is written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.pages.readme import results_block
from normlab.pages.standings import Standing
from normlab.records.drawings import Drawing
from normlab.records.record import FROZEN, Record


def readme(record: Record, rendered: Path, root: Path, drawn: Sequence[Drawing], preset: str) -> str:
    """The record's README: how far it is, the answer, the tables of claims, the figures, where the numbers come from.

    Args:
        record: the record.
        rendered: the folder with `claims.json` and `settings.json`.
        root: the repository.
        drawn: its figures.
        preset: the name of its parameter file.
    """
    up = "../" * len(record.folder.resolve().relative_to(root.resolve()).parts)
    lines = [f"# Record `{record.name}`", "", progress(record), ""]
    lines += [results_block(rendered / "claims.json", rendered, lambda one: notebook_of(one, up)), "", "## Figures", ""]
    for drawing in drawn:
        lines += [f"**{drawing.title}.**", "", f"![{drawing.title}](figures/{drawing.file}.svg)", ""]
    lines += ["## Runs", "", *runs_table(record), "", *provenance(record), ""]
    lines += [
        f"Rebuilt from the tables in this folder by `python -m normlab.stages.record {record.name}`, without training; "
        f"[what the files are](../README.md), [settings](params.yaml) (preset `{preset}`), "
        "[where everything comes from](manifest.json).",
    ]
    return "\n".join([*lines, ""])


def notebook_of(one: Standing, up: str) -> str:
    """The notebook that shows a claim, which GitHub renders; `up` leads to the repository's root."""
    return f"{up}notebooks/{one.page.removesuffix('.html')}.ipynb"


def progress(record: Record) -> str:
    """One line: whether everything that was planned is here."""
    manifest = record.manifest
    done, planned = len(manifest["finished"]), manifest["planned"]
    hours = f"{manifest['core_hours']:,.1f} core-hours of training and probing"
    if done == planned:
        return f"All {planned} planned pieces of work are finished: {hours}."
    here = f"**Not finished yet: {done} of {planned} planned pieces of work** ({hours})"
    return f"{here}. Verdicts are those of what is here."


def runs_table(record: Record) -> list[str]:
    """One row a cell: how many of its planned seeds are finished, and the core-hours of these."""
    study, finished = record.study, record.manifest["finished"]
    cells: dict[tuple[str, str, float, str], list[str]] = {}
    for run in study.runs if "training" in study.analyze.studies else []:
        cells.setdefault((run.network, run.norm_layer, run.learning_rate, run.variant), []).append(f"runs/{run.name}")
    lines = ["| network | normalizer | rate | settings | finished | core-hours |", "|---|---|---|---|---|---|"]
    for (network, norm_layer, rate, variant), places in cells.items():
        done = [finished[place] for place in places if place in finished]
        hours = sum(about.get("seconds") or 0.0 for about in done) / 3600
        shown = f"{hours:.2f}" if hours else "–"
        lines.append(f"| {network} | {norm_layer} | {rate:g} | {variant} | {len(done)} of {len(places)} | {shown} |")
    others = [place for place in (*finished, *record.manifest["missing"]) if not place.startswith("runs/")]
    lines += [f"| `{place}` | | | | {'finished' if place in finished else 'missing'} | |" for place in others]
    return lines


def provenance(record: Record) -> list[str]:
    """Where the runs were made, a line a source, and whether rules or analysis code changed since they were frozen."""
    lines = []
    for source in record.manifest["sources"]:
        tags = f" (tag {', '.join(source['tags'])})" if source.get("tags") else ""
        commit = f"commit `{source['commit'][:12]}`{tags}" if source.get("commit") else "a copy without Git"
        changed = f", with changes in {', '.join(source['changed'])}" if source.get("changed") else ""
        versions = ", ".join(f"{name} {version}" for name, version in source["versions"].items())
        lines.append(f"- {commit}{changed}; {source['processor']}; {versions}.")
    return [*lines, f"- {frozen_sentence(record)}"]


def frozen_sentence(record: Record) -> str:
    """Whether the rules that give the verdicts are those that were stored before the first run."""
    path = record.folder / FROZEN
    if not path.is_file():
        return "No digests of the rules were stored before the first run."
    before, now = json.loads(path.read_text(encoding="utf-8")), frozen(load_claims())
    changed = [name for name, digest in now["rules"].items() if before["rules"].get(name) != digest]
    rules = f"changed since: {', '.join(changed)}" if changed else "unchanged since"
    code = (
        "unchanged" if before["analysis"] == now["analysis"] else "changed (see the history of `src/normlab/analysis`)"
    )
    return f"Rules of the claims, stored before the first run (`{FROZEN}`): {rules}; analysis code: {code}."
