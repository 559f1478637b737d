"""The published records: results of finished runs that are kept in Git, one folder each in `reports/published/`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normlab.analysis.rules import load_claims
from normlab.figures.style import label
from normlab.pages.available import available
from normlab.pages.script import NAME
from normlab.pages.shell import Shows
from normlab.pages.standings import Standing, beside_others, standings
from normlab.pages.verdicts import of_seeds
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.parts import family
from normlab.specs.strict import InputError, build

FOLDER = Path("reports", "published")


@dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        folder: it holds `claims.json` and `settings.json`; a record that keeps the tables of its runs has a
            `manifest.json`, too (`normlab.records`), and unpacked for readers the folder `tables/`.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.resolve().name

    @cached_property
    def entries(self) -> list[dict[str, Any]]:
        """The claims as they were scored."""
        return _read(self.folder / "claims.json", list)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on; empty where it was not kept."""
        path = self.folder / "settings.json"
        return _read(path, dict) if path.is_file() else {}

    @property
    def manifest(self) -> dict[str, Any]:
        """What is finished, what is missing, and where it comes from; of a record without tables of runs, nothing is.

        Raises:
            InputError: it is no JSON.
        """
        path = self.folder / "manifest.json"
        if not path.is_file():
            return {"record": self.name, "sources": [], "planned": 0, "finished": {}, "missing": []}
        return _read(path, dict)

    @property
    def whole(self) -> bool:
        """Whether everything that was planned is finished."""
        return len(self.manifest["finished"]) == self.manifest["planned"]

    @property
    def params(self) -> Path:
        """The parameter file of its runs.

        Raises:
            InputError: there is none: the record is older, or nothing was added to it yet.
        """
        path = self.folder / "params.yaml"
        if not path.is_file():
            raise InputError(f"{path}: no such file; add finished runs with --add FOLDER first")
        return path

    @property
    def tables(self) -> Path | None:
        """The folder with the tables of measurements; None for a record that has verdicts alone."""
        tables = self.folder / "tables"
        return tables if (tables / "measurements.parquet").is_file() else None

    @property
    def paths(self) -> dict[str, str]:
        """The files of `normlab.pages.results.Results`, by the names of the notebooks' parameters."""
        settings = str(self.folder / "settings.json")
        tables, claims = str(self.folder / "tables"), str(self.folder / "claims.json")
        return {"tables": tables, "claims": claims, "params": settings, "manifest": settings}

    @property
    def shows(self) -> Shows:
        """What the head of its pages says; every record's pages are in a folder of its name beside the others'."""
        others = tuple(
            (f"{other.name}{'' if other.whole else ' (not finished)'}", f"../{other.name}/index.html")
            for other in self.others
        )
        return Shows(self.name, "Record", others, one_page=self.tables is None, script=f"../{NAME}", pages=self.pages)

    @cached_property
    def pages(self) -> tuple[str, ...]:
        """The pages that can be rendered: those of its parameters that have something to show by now."""
        planned = tuple(self.settings.get("report", {}).get("notebooks", ()))
        return available(self.tables, family(self.settings["analyze"]["network"]), planned) if self.tables else ()

    @property
    def standings(self) -> list[Standing]:
        """Where each claim stands, also beside the other records."""
        analyze, claims = self.settings.get("analyze"), load_claims()
        spec = build(AnalyzeSpec, analyze, f"{self.name}: analyze") if analyze else None
        return beside_others(standings(self.entries, claims, spec), claims, [one.entries for one in self.others])

    @property
    def others(self) -> list["Record"]:
        """The other records of the same folder."""
        return [one for one in in_folder(self.folder.resolve().parent) if one.name != self.name]

    @property
    def told(self) -> dict[str, str]:
        """What a figure's numbers say, as a list in Markdown, by the figure's name: rendered with it, where it is."""
        return {name: text for name, text in self._beside_figures.items() if not name.endswith(".table")}

    @property
    def tabled(self) -> dict[str, str]:
        """The table of a figure's numbers in Markdown, by the figure's name: rendered with it, where there is one."""
        tables = self._beside_figures.items()
        return {name.removesuffix(".table"): text for name, text in tables if name.endswith(".table")}

    @property
    def _beside_figures(self) -> dict[str, str]:
        return {path.stem: path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("figures/*.md"))}

    @property
    def first_rules(self) -> str:
        """The rules that scored it, where they were the first ones; empty otherwise."""
        return next((entry["rules"] for entry in self.entries if "group" not in entry), "")

    @property
    def scale(self) -> str:
        """What was measured, in one sentence; empty where that was not kept."""
        return scale(self.settings)


def _read(path: Path, kind: type) -> Any:
    """The content of a JSON file, an object (dict) or a list.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, kind):
        raise InputError(f"{path}: expected {'an object' if kind is dict else 'a list'}, got {type(found).__name__}")
    return found


def records(root: Path) -> list[Record]:
    """All records of the repository at `root`, by name."""
    return in_folder(root / FOLDER)


def in_folder(folder: Path) -> list[Record]:
    """The records in a folder, by name."""
    return [Record(path.parent) for path in sorted(folder.glob("*/claims.json"))]


def the_record(folder: Path) -> Record:
    """The record in `folder`.

    Raises:
        InputError: there is none.
    """
    if not (folder / "claims.json").is_file():
        raise InputError(f"{folder}: expected the folder of a record, with claims.json")
    return Record(folder)


def scale(settings: Mapping[str, Any]) -> str:
    """`CIFAR-10 (JPEG copy), 5,000 training images; vgg11 at 0.25 of its width, batch 128, …; deep linear: …`.

    Empty where a section that it names is missing; studies that are not planned are left out.
    """
    if not {"data", "grid", "train", "dln"} <= set(settings):
        return ""
    parts = [_networks(settings)] if settings["grid"] else []
    if "dln" in settings.get("analyze", {}).get("studies", ["dln"]):
        parts.append(f"deep linear: {settings['dln']['steps']:,} updates, {of_seeds(len(settings['dln']['seeds']))}")
    if settings.get("dln_lottery"):
        parts.append(f"one-seed lottery: {', '.join(map(_drawn, settings['dln_lottery']))}")
    return "; ".join(parts) + "."


def _networks(settings: Mapping[str, Any]) -> str:
    """The images, and the first block of the grid."""
    data, grid, train = settings["data"], _blocks(settings)[0], settings["train"]
    return (
        f"{data['title']}, {data['counts']['train']:,} training images; {', '.join(grid['network'])} at "
        f"{_width(train['width'])}, batch {train['batch_size']}, {train['steps']:,} updates, learning rate "
        f"{_rates(grid)}, {of_seeds(len(grid['seed']))}{_sweep(settings)}"
    )


def _blocks(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The blocks of the grid; those that differ in their seeds alone are one."""
    found: dict[str, dict[str, Any]] = {}
    for block in settings["grid"]:
        kept = found.setdefault(repr(sorted({**block, "seed": None}.items())), {**block, "seed": []})
        kept["seed"] = sorted({*kept["seed"], *block["seed"]})
    return list(found.values())


def _drawn(block: Mapping[str, Any]) -> str:
    """`1,000 seeds (none (plain), BatchNorm)`."""
    seeds = of_seeds(f"{block['seeds']:,}")
    return f"{seeds} ({', '.join(map(label, block['norm_layer']))})"


def _width(width: float) -> str:
    return "its full width" if width == 1 else f"{width:g} of its width"


def _rates(grid: Mapping[str, Any]) -> str:
    return ", ".join(f"{rate:g}" for rate in grid["learning_rate"])


def _sweep(settings: Mapping[str, Any]) -> str:
    """The further blocks of the same network, each by what differs from the first; nothing where there are none."""
    first, *others = _blocks(settings)
    return "".join(f" ({_block(block, first)})" for block in others if block["network"] == first["network"])


def _block(block: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    names = ", ".join(map(label, block["norm_layer"]))
    differs = []
    if block["learning_rate"] != first["learning_rate"]:
        differs.append(f"also at {_rates(block)}")
    if len(block["seed"]) != len(first["seed"]):
        differs.append(of_seeds(len(block["seed"])))
    if isinstance(block.get("steps"), int):
        differs.append(f"{block['steps']:,} updates")
    return f"{names} {', '.join(differs) or 'too'}"
