"""MD5 digests of files and folders as DVC takes them, each file read once, and what DVC's cache holds of them."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pathspec

from normlab.scheduling.pipeline import above

KNOWN = Path("scratch/plan/digests.json")  # below the root; `make clean` removes it
UNSETTLED_NS = 2 * 10**9  # a file changed so recently may change again within the clock's grain


class Digests:
    """Digests of paths below a root. What the system says of a file is remembered: an unchanged one is read once.

    A file's digest is the MD5 of its bytes. A folder's is that of the list of its files, by relative path, as JSON,
    with ".dir" at its end; links are followed, and what `.dvcignore` names is not there.

    Args:
        root: the repository.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        ignored = root / ".dvcignore"
        lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
        self._ignored = pathspec.GitIgnoreSpec.from_lines(lines)
        self._known = _load(root / KNOWN)
        self._files: dict[str, str | None] = {}
        self._lists: dict[str, list[str]] = {}
        self._folders: dict[str, str] = {}
        self._placed: dict[str, set[str]] = {}

    def digest(self, path: str) -> str | None:
        """The digest of a path relative to the root; None where there is nothing."""
        if path not in self._lists and (path in self._files or not (self.root / path).is_dir()):
            return self._file(path)
        if path not in self._folders:
            entries = {name: self._file(f"{path}/{name}") for name in self._list(path)}
            self._folders[path] = digest_of_list({name: digest for name, digest in entries.items() if digest})
        return self._folders[path]

    def place(self, path: str, content: str | Mapping[str, str]) -> None:
        """From now on take `path` for a file with this digest, or for a folder of these files, whatever is on disk."""
        for folder in above(path):
            self._lists.pop(folder, None)
            self._folders.pop(folder, None)
        self._folders.pop(path, None)
        parent, _, name = path.rpartition("/")
        self._placed.setdefault(parent, set()).add(name)
        if isinstance(content, str):
            self._files[path] = content
        else:
            self._lists[path] = list(content)
            self._files |= {f"{path}/{inner}": digest for inner, digest in content.items()}

    def save(self) -> None:
        """Remember the digests of this process's files for the next one."""
        target = self.root / KNOWN
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({path: self._known[path] for path in self._files if path in self._known}))
        os.replace(partial, target)

    def _list(self, path: str) -> list[str]:
        """The files below a folder, relative to it."""
        if path not in self._lists:
            found: list[str] = []
            names = {entry.name for entry in os.scandir(self.root / path)} if (self.root / path).is_dir() else set()
            for name in sorted(names | self._placed.get(path, set())):
                inner = f"{path}/{name}"
                if inner in self._lists or (inner not in self._files and (self.root / inner).is_dir()):
                    if not self._ignored.match_file(f"{inner}/"):
                        found += [f"{name}/{below}" for below in self._list(inner)]
                elif not self._ignored.match_file(inner):
                    found.append(name)
            self._lists[path] = found
        return self._lists[path]

    def _file(self, path: str) -> str | None:
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> str | None:
        try:
            stat = os.stat(self.root / path)
            state = [stat.st_ino, stat.st_mtime_ns, stat.st_size]
            known = self._known.pop(path, [])
            if known[:3] == state:
                digest = str(known[3])
            else:
                with open(self.root / path, "rb") as stream:
                    digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if time.time_ns() - stat.st_mtime_ns > UNSETTLED_NS:
            self._known[path] = [*state, digest]
        return digest


def digest_of_list(files: Mapping[str, str]) -> str:
    """The digest of a folder that holds `files`, relative path → digest."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


class Cache:
    """The contents of outputs by their digests, as DVC keeps them.

    Args:
        folder: usually `.dvc/cache`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._whole: dict[str, bool] = {}

    def holds(self, digests: Iterable[str]) -> bool:
        """Whether all contents are there, of folders every file."""
        return all(self._holds(digest) for digest in digests)

    def content(self, digest: str) -> str | dict[str, str]:
        """What a digest stands for: of a folder its files, relative path → digest; of a file the digest itself."""
        if not digest.endswith(".dir"):
            return digest
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self._path(digest).read_bytes())}

    def _path(self, digest: str) -> Path:
        return self.folder / "files" / "md5" / digest[:2] / digest[2:]

    def _holds(self, digest: str) -> bool:
        if digest not in self._whole:
            content = self.content(digest) if self._path(digest).is_file() else None
            below = content.values() if isinstance(content, dict) else ()
            self._whole[digest] = content is not None and all(self._path(each).is_file() for each in below)
        return self._whole[digest]


def _load(path: Path) -> dict[str, list[int | str]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
