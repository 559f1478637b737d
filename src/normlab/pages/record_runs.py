"""What a record says of its runs: how many of those planned are finished, what they cost, and where they were made."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.figures.style import label
from normlab.pages.markdown import markdown_table
from normlab.pages.records import Record
from normlab.pages.verdicts import of_seeds
from normlab.specs.study import read_study


def progress(record: Record) -> list[str]:
    """Whether everything that was planned is here; nothing for a record without tables of runs."""
    manifest = record.manifest
    done, planned = len(manifest["finished"]), manifest["planned"]
    if not planned:
        return []
    timed = any(about.get("seconds") is not None for about in manifest["finished"].values())  # trainings alone are
    hours = f"{manifest['core_hours']:,.1f} hours of training and probing, summed over the trainings"
    cost = f" ({hours})" if timed else ""
    if done == planned:
        return [f"All {planned} planned pieces of work are finished{cost}.", ""]
    here = f"**Not finished yet: {done} of {planned} planned pieces of work are done**{cost}"
    return [f"{here}. {' '.join(here_and_missing(record))} Verdicts are those of what is here.", ""]


def unfinished(record: Record) -> str:
    """What is finished and what is not, in plain text; empty for a record that is whole."""
    if record.whole:
        return ""
    done, planned = len(record.manifest["finished"]), record.manifest["planned"]
    return " ".join(
        [f"Not finished yet: {done} of {planned} planned pieces of work are done.", *here_and_missing(record)]
    )


def here_and_missing(record: Record) -> list[str]:
    """`Finished: vgg16 none (plain), BatchNorm at 0.1 (3 of 5 seeds each).`, `Not run yet: vgg16 ℓ1 at 0.1, 0.3; ….`"""
    finished, missing = record.manifest["finished"], record.manifest["missing"]
    here, waiting = [], []
    for name, done, planned, several in _named_together(_cells(record), finished):
        here += [f"{name} ({done} of {of_seeds(planned)}{' each' if several else ''})"] if done else []
        waiting += [] if done else [name]
    for study, places in _studies([*finished, *missing]).items():
        done = sum(place in finished for place in places)
        name = STUDIES.get(study, study)
        here += [f"{name} ({done} of {len(places)} pieces)" if done < len(places) else name] if done else []
        waiting += [] if done else [name]
    return [f"{title}: {'; '.join(names)}." for title, names in (("Finished", here), ("Not run yet", waiting)) if names]


def _named_together(
    cells: dict[tuple[str, str, float, str], list[str]], finished: Iterable[str]
) -> Iterator[tuple[str, int, int, bool]]:
    """Cells with as many of as many seeds, in one name: first the rates of a normalizer, then normalizers alike.

    Yields:
        The name, the seeds finished and planned of each cell, and whether it names more than one.
    """
    rates: dict[tuple[str, str, str, int, int], list[str]] = {}
    for (network, norm_layer, rate, variant), places in cells.items():
        done = sum(place in finished for place in places)
        rates.setdefault((network, norm_layer, variant, done, len(places)), []).append(f"{rate:g}")
    alike: dict[tuple[str, tuple[str, ...], str, int, int], list[str]] = {}
    for (network, norm_layer, variant, done, planned), at in rates.items():
        alike.setdefault((network, tuple(at), variant, done, planned), []).append(label(norm_layer))
    for (network, shared, variant, done, planned), kinds in alike.items():
        name = f"{network} {', '.join(kinds)} at {', '.join(shared)}{f' with {variant}' if variant else ''}"
        yield name, done, planned, len(kinds) * len(shared) > 1


STUDIES = {
    "dln": "the deep linear network",
    "dln_scan": "the deep linear network at many rates",
    "dln_lottery": "the deep linear network of many seeds",
    "reparametrization": "BatchNorm put into trained plain networks",
    "statements": "the paper's statements",
}
"""The studies beside the trainings, by the folders of a record."""


def _cells(record: Record) -> dict[tuple[str, str, float, str], list[str]]:
    """The planned runs of each cell, by network, normalizer, learning rate and settings."""
    study = read_study(record.params)
    cells: dict[tuple[str, str, float, str], list[str]] = {}
    for run in study.runs if "training" in study.analyze.studies else []:
        cells.setdefault((run.network, run.norm_layer, run.learning_rate, run.variant), []).append(f"runs/{run.name}")
    return cells


def _studies(places: Iterable[str]) -> dict[str, list[str]]:
    """Pieces of work that are no runs, by study."""
    studies: dict[str, list[str]] = {}
    for place in places:
        if not place.startswith("runs/"):
            studies.setdefault(place.partition("/")[0], []).append(place)
    return studies


def runs_table(record: Record) -> list[str]:
    """How many of the planned seeds are finished, and their hours; then the other studies.

    One row a normalizer and its settings, for all rates that are equally far.
    """
    finished, missing = record.manifest["finished"], record.manifest["missing"]
    alike: dict[tuple[str, str, str, int, int], dict[str, list[dict[str, Any]]]] = {}
    for (network, norm_layer, rate, variant), places in _cells(record).items():
        done = [finished[place] for place in places if place in finished]
        alike.setdefault((network, norm_layer, variant, len(done), len(places)), {})[f"{rate:g}"] = done
    rows = []
    for (network, norm_layer, variant, count, planned), rates in alike.items():
        each = " each" if len(rates) > 1 else ""
        hours = _hours(about for done in rates.values() for about in done)
        settings = variant.replace(",", ", ")
        rows.append([network, norm_layer, ", ".join(rates), settings, f"{count} of {planned}{each}", hours])
    for name, places in _studies([*finished, *missing]).items():
        rows.append([name, "", "", "", f"{sum(place in finished for place in places)} of {len(places)}", ""])
    lines = [markdown_table(["", "normalizer", "rate", "settings", "finished", "hours"], rows)]
    if not missing:
        return lines
    names = ", ".join(f"`{place}`" for place in missing)
    return [*lines, "", f"<details><summary>{len(missing)} missing</summary>", "", f"{names}.", "", "</details>"]


def _hours(done: Iterable[dict[str, Any]]) -> str:
    seconds = [about["seconds"] for about in done if about.get("seconds") is not None]
    return f"{sum(seconds) / 3600:.2f}" if seconds else "–"


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
    path = record.folder / "frozen.json"
    if not path.is_file():
        return "No digests of the rules were stored before the first run."
    before, now = json.loads(path.read_text(encoding="utf-8")), frozen(load_claims())
    changed = [name for name, digest in now["rules"].items() if before["rules"].get(name) != digest]
    rules = f"changed since: {', '.join(changed)}" if changed else "unchanged since"
    code = (
        "unchanged" if before["analysis"] == now["analysis"] else "changed (see the history of `src/normlab/analysis`)"
    )
    return f"Rules of the claims, stored before the first run (`frozen.json`): {rules}; analysis code: {code}."
