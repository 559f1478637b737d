"""The objects of DVC's cache, looked over before outputs are restored from them.

An object is named by the MD5 digest of its content, but DVC takes one that is read-only for unchanged and does not look
(`dvc_data.hashfile.db.local`): what a failing disk or a careless hand made of it would come back as a result, and
`dvc status` would call it up to date. Without the object DVC makes the output again.
"""

import hashlib
import json
import os
import re
from pathlib import Path

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
Seen = dict[str, list[int]]


def set_damaged_aside(root: Path) -> list[str]:
    """Move the objects whose content is not what their name says to `.dvc/tmp/damaged`.

    Content is read once: an object whose size, times and inode are those of a look before is passed over. A cache that
    lies elsewhere (`cache.dir`) may be shared, and is not looked at. To be called while nothing else writes there.

    Returns:
        A line if there were any.
    """
    cache, notes = root / ".dvc/cache/files/md5", root / ".dvc/tmp/objects.json"
    before, seen, damaged = _read(notes), {}, []
    for path in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        if not OBJECT.fullmatch(path.name):
            continue
        name, mark = path.parent.name + path.name, _mark(path)
        if before.get(name) == mark or _digest(path) == name.removesuffix(".dir"):
            seen[name] = mark
        else:
            damaged.append(name)
            aside = root / ".dvc/tmp/damaged" / name
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
    if seen != before:
        partial = notes.with_suffix(".partial")
        partial.write_text(json.dumps(seen), encoding="utf-8")
        os.replace(partial, notes)
    if not damaged:
        return []
    named = ", ".join(damaged[:3]) + (f" and {len(damaged) - 3} more" if len(damaged) > 3 else "")
    return [f"damaged in DVC's cache, and set aside in .dvc/tmp/damaged: {named}; what needs it is made again"]


def _read(notes: Path) -> Seen:
    try:
        found = json.loads(notes.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _mark(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
