"""What a reproduction would run and what it would take, before it starts: by study and in all."""

import fcntl
import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path

from normlab.scheduling.digests import Cache, Digests
from normlab.scheduling.lock_reader import Recorded
from normlab.scheduling.pipeline import Writers, read_stages
from normlab.scheduling.stage_costs import StageCost, StageCosts
from normlab.scheduling.staleness import Judged, judge
from normlab.specs.expansion import PARTS, REQUIREMENT, RUNS, Expansion, link_name
from normlab.specs.strict import load_params

FICLONE = 0x40049409  # ioctl: one file takes over another's blocks without a copy


@dataclass(frozen=True)
class Entry:
    """A stage, what becomes of it, and what it costs: nothing if it is there, disk alone if it is restored."""

    judged: Judged
    study: str
    cost: StageCost


def judge_reproduction(
    root: Path,
    params_file: Path,
    expansion: Expansion,
    lock: Mapping[str, Recorded],
    known: Mapping[str, str],
) -> list[Judged]:
    """What becomes of every stage, where `params_file` is what params.yaml says; nothing is written but digests.

    Args:
        root: the repository.
        params_file: the parameter file.
        expansion: what belongs on disk beside it.
        lock: what dvc.lock says.
        known: path → digest of outputs that always have one content.
    """
    digests = Digests(root)
    digests.place("params.yaml", _md5(params_file.read_bytes()))
    digests.place(RUNS, _md5(expansion.text.encode()))
    for name in {folder.relative_to(root).as_posix() for folder in root.glob(f"{PARTS}/*/*") if folder.is_dir()}:
        digests.place(name, {})
    for name, source in expansion.parts.items():
        files = {link_name(file): str(digests.digest(file)) for file in source.files}
        required = {REQUIREMENT: _md5(f"{source.requirement}\n".encode())} if source.requirement else {}
        digests.place(name, {**files, **required})
    stages = read_stages(root / "dvc.yaml", expansion.entries)
    judged = judge(stages, load_params(params_file), lock, digests, Cache(cache_folder(root)), known)
    digests.save()
    return judged


def price(judged: Sequence[Judged], costs: StageCosts, lock: Mapping[str, Recorded]) -> list[Entry]:
    """The stages with their costs; what is restored has the size that was recorded."""
    entries = []
    for each in judged:
        last = lock.get(each.stage.name)
        recorded = sum(last.sizes.values()) if last is not None and each.fate == "restored" else 0
        cost = StageCost(0.0, 0.0, float(recorded))
        if each.fate in ("runs", "follows"):
            cost = costs.of(each.stage)
        entries.append(Entry(each, costs.study_of(each.stage), cost))
    return entries


def needed_disk(entries: Sequence[Entry], copies: int) -> float:
    """Bytes: each new output takes up the disk `copies` times, a restored one is in DVC's cache already."""
    restored = sum(entry.cost.disk for entry in entries if entry.judged.fate == "restored")
    return copies * sum(entry.cost.disk for entry in entries) - restored


def side_by_side(entries: Sequence[Entry], jobs: int) -> float:
    """Seconds with `jobs` stages at once: no less than the sum over jobs, nor than the longest chain of stages."""
    writers = Writers(entry.judged.stage for entry in entries)
    end: dict[str, float] = {}
    for entry in entries:
        before = [end[writer] for dep in entry.judged.stage.deps for writer in writers.of(dep)]
        end[entry.judged.stage.name] = max(before, default=0.0) + entry.cost.seconds
    return max(max(end.values(), default=0.0), sum(entry.cost.seconds for entry in entries) / jobs)


def table(entries: Sequence[Entry]) -> list[str]:
    """A line a study, and their sum."""
    studies = dict.fromkeys(entry.study for entry in entries)
    rows: list[tuple[str, ...]] = [("", "stages", "there", "restored", "to run", "time", "memory", "disk")]
    groups = {study: [entry for entry in entries if entry.study == study] for study in studies} | {
        "in all": list(entries)
    }
    for name, group in groups.items():
        fates = Counter("runs" if entry.judged.fate == "follows" else entry.judged.fate for entry in group)
        seconds, disk = sum(entry.cost.seconds for entry in group), sum(entry.cost.disk for entry in group)
        memory = max(entry.cost.memory for entry in group)
        counts = (len(group), fates["there"], fates["restored"], fates["runs"])
        rows.append((name, *map(str, counts), duration(seconds), size(memory), size(disk)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def reasons(entries: Sequence[Entry], shown: int = 6) -> list[str]:
    """Why stages run, a line each kind of stage: what has changed of how many, and how many only follow others."""
    lines = []
    for template in dict.fromkeys(entry.judged.stage.template for entry in entries):
        stages = [entry.judged for entry in entries if entry.judged.stage.template == template]
        running = [each for each in stages if each.fate == "runs"]
        counts = Counter(
            "output missing or changed" if change in each.stage.outs else change
            for each in running
            for change in each.changes
        )
        why = [f"{change} ({count})" for change, count in counts.most_common(shown)]
        why += ["…"] if len(counts) > shown else []
        follow = sum(each.fate == "follows" for each in stages)
        why += [f"{follow} after others, unless what these write is as it was"] if follow else []
        if why:
            lines.append(f"{template}: {', '.join(why)}")
    return lines


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min`, `5 h`, `9 days`; `-` for none."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 72)):
        if seconds < most * length:
            return f"{seconds / length:.0f} {unit}" if seconds else "-"
    return f"{seconds / 86400:.0f} days"


def size(count: float) -> str:
    """Such as `12 MB`, `39.1 GB`; `-` for nothing."""
    if not count:
        return "-"
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def cache_folder(root: Path) -> Path:
    """Where DVC keeps its cache: `cache.dir` of its settings, else `.dvc/cache`."""
    for name in ("config.local", "config"):
        parser = ConfigParser(interpolation=None)
        try:
            text = (root / ".dvc" / name).read_text(encoding="utf-8")
            parser.read_string("\n".join(map(str.strip, text.splitlines())))  # DVC indents, which ConfigParser joins
        except (OSError, ConfigError):
            continue
        if parser.has_option("cache", "dir"):
            return root / ".dvc" / parser.get("cache", "dir")
    return root / ".dvc/cache"


def copies(root: Path) -> int:
    """How often an output takes up the disk: once where the file system can share blocks (reflinks), else twice."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".reflink-") as folder:
        source = Path(folder, "source")
        source.write_bytes(b"x")
        with source.open("rb") as one, Path(folder, "target").open("wb") as other:
            try:
                fcntl.ioctl(other, FICLONE, one.fileno())
            except OSError:
                return 2
    return 1


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
