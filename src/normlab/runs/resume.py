"""Where a long computation goes on after it was stopped: its last state, in an untracked folder, whole or not there."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from normlab.specs.import_walk import walk
from normlab.specs.parts import PACKAGE, Kind, resolve, sources

FOLDER = Path("scratch/resume")
INTERVAL_SECONDS = 30.0  # between two points; with the time to write one, at most 60 s of work are lost


class Stateful(Protocol):
    """Something whose state can be taken and put back, as torch's modules and optimizers are."""

    def state_dict(self) -> dict[str, Any]:
        """The state: tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Put a state back, bit for bit."""


class ResumePoints:
    """Keeps the state of one computation now and then, and puts it back after the computation was stopped.

    A point holds the states of the parts, and the files that the output folder held at that moment (as hard links where
    the file system has them). It is written, flushed to the disk and renamed, so that a process or machine that dies
    leaves the last whole one. A point is put back only under the circumstances that it was made in; elsewhere the rest
    of the computation would not have the same bits.

    Args:
        out: where the output will stand; names the point. One process at a time may make an output.
        folder: the folder that the output is being written into.
        circumstances: what has to be the same, name → value; taken before the computation starts.
        interval: seconds between two points.
        say: takes one line about where the computation starts.
    """

    def __init__(
        self,
        out: Path,
        folder: Path,
        circumstances: Mapping[str, str],
        *,
        interval: float = INTERVAL_SECONDS,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self.out, self.folder, self.interval = out, folder, interval
        self.place = FOLDER / os.path.relpath(out).replace("..", "up")
        self._circumstances, self._say = dict(circumstances), say
        self._parts: dict[str, Stateful] = {}
        self._written = time.monotonic()

    def add(self, **parts: Stateful) -> None:
        """Name the parts whose states make up a point."""
        self._parts |= parts

    def restore(self) -> bool:
        """Put parts and files into the state of the last point; False where there is none for these circumstances."""
        point = self._load()
        if point is None:
            return False
        for name in point["files"]:
            _link(self.place / "files" / name, self.folder / name)
        for name, part in self._parts.items():
            part.load_state_dict(point["parts"][name])
        self._say(f"{self.out}: goes on from step {point['step']}, where it was stopped")
        return True

    def save_if_due(self, step: int) -> None:
        """Write a point if the last one is `interval` seconds old; to be called where the parts agree, at `step`.

        A full disk costs the point, with one line, and not the computation.
        """
        if time.monotonic() - self._written >= self.interval:
            try:
                self.save(step)
            except OSError as error:
                self._say(f"{self.out}: no resume point of step {step}: {error.strerror or error}")
                self._written = time.monotonic()

    def save(self, step: int) -> None:
        """Write a point of `step`."""
        sizes = {}
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            name = str(path.relative_to(self.folder))
            sizes[name] = path.stat().st_size
            if not (self.place / "files" / name).exists():
                _link(path, self.place / "files" / name)
                _flush(self.place / "files" / name)
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        self.place.mkdir(parents=True, exist_ok=True)
        partial = self.place / "point.pt.partial"
        point = {"step": step, "circumstances": self._circumstances, "files": sizes, "parts": parts}
        torch.save(point, partial)
        _flush(partial)
        os.replace(partial, self.place / "point.pt")
        _flush(self.place)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Forget the point: the output is complete."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _load(self) -> dict[str, Any] | None:
        """The last point, or None with a line that says why it is of no use."""
        path = self.place / "point.pt"
        if not path.exists():
            self.remove()  # files without a point: stopped while the first one was written
            return None
        try:
            point = torch.load(path, map_location="cpu", weights_only=True)
            reason = self._differs(point)
        except Exception:  # torch raises what it likes at a damaged file
            reason = "cannot be read"
        if not reason:
            return point
        self.remove()
        self._say(f"{self.out}: starts from the beginning, because its resume point {reason}")
        return None

    def _differs(self, point: dict[str, Any]) -> str:
        made, now = point["circumstances"], self._circumstances
        others = [f"{name} {made.get(name)}, now {now[name]}" for name in now if made.get(name) != now[name]]
        if others:
            return f"was made with {'; '.join(others)}"
        files = [self.place / "files" / name for name in point["files"]]
        sizes = [path.stat().st_size if path.is_file() else None for path in files]
        if sizes != list(point["files"].values()):
            return "lacks files"
        return "" if set(point["parts"]) == set(self._parts) else "is of another computation"


def circumstances(
    program: str,
    settings: Any,
    data: Any,
    device: torch.device,
    *,
    network: str = "",
    normalizer: str = "",
    scale: str = "",
) -> dict[str, str]:
    """What the bits of a computation depend on besides its state.

    Args:
        program: dotted name of the module that is run; its source and that of all that it imports of normlab counts.
        settings: everything that was asked for, as plain values.
        data: what identifies the data, as plain values.
        device: where it is computed.
        network: the network by name; its source counts too, or its package's version.
        normalizer: the normalizer by name, likewise.
        scale: the deep linear study's normalizer by name, likewise.
    """
    named: dict[Kind, str] = {"network": network, "normalizer": normalizer, "scale": scale}
    parts = {kind: name for kind, name in named.items() if name}
    return {
        "settings": _digest(json.dumps(settings, sort_keys=True)),
        "data": _digest(json.dumps(data, sort_keys=True)),
        "source": _digest(*_sources(program, parts)),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _sources(program: str, parts: Mapping[Kind, str]) -> list[str]:
    """The texts of all files behind a program and its parts, and the versions of the packages that parts come from."""
    roots = (PACKAGE.parent, Path.cwd().resolve())
    files: set[Path] = set()
    versions = []
    for module, kind in [(program, None), *((resolve(name, kind).module, kind) for kind, name in parts.items())]:
        found = {path for root in roots for path in walk(module, root)}
        files |= found
        if not found and kind is not None:
            versions.append(sources(parts[kind], kind).requirement or "")
    return [*(path.read_text(encoding="utf-8") for path in sorted(files)), *versions]


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}\n{text}".encode())
    return digest.hexdigest()[:12]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
