"""The file of the local MLflow store: made whole or not at all, looked over before use, and set aside when damaged.

Nothing is deleted: the runs of the present outputs are written anew into a new store, and older history stays readable,
as far as it is, in the file that was set aside.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SCHEME = "sqlite:///"
# what SQLite and MLflow say of a file whose inside is not what they left there
TELLTALES = ("malformed", "not a database", "no such table", "no such column", "duplicate column", "already exists")
OUTDATED = "out-of-date database schema"  # an older MLflow's, or one whose creation was cut short


def path_of(uri: str) -> Path | None:
    """The file of a store's address, None if the store is on a server."""
    return Path(uri.removeprefix(SCHEME)) if uri.startswith(SCHEME) else None


def current(path: Path, tags: Sequence[str], mark: str) -> Counter[tuple[str | None, ...]]:
    """The values of `tags` of each run that is not deleted and whose tag `mark` is "true".

    None of them where the store is missing or in use.
    """
    columns = ", ".join(
        f"(SELECT value FROM tags t WHERE t.run_uuid = runs.run_uuid AND key = '{tag}')" for tag in tags
    )
    query = (
        f"SELECT {columns} FROM runs JOIN tags USING (run_uuid) "
        f"WHERE lifecycle_stage = 'active' AND key = '{mark}' AND value = 'true'"
    )
    return Counter(_rows_or_none(path, query))


def experiments(path: Path) -> dict[str, int]:
    """Name and id of every experiment that is not deleted; none where the store is missing or in use."""
    return dict(_rows_or_none(path, "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'"))


def _rows(path: Path, query: str) -> list[tuple]:
    # without MLflow, whose import takes seconds
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as store:
        return store.execute(query).fetchall()


def _rows_or_none(path: Path, query: str) -> list[tuple]:
    try:
        return _rows(path, query)
    except sqlite3.Error:
        return []


def damage(path: Path) -> str | None:
    """What is wrong with the file at `path`, None if it is a whole store, or none at all."""
    if not path.exists():
        return None
    try:
        found = _rows(path, "PRAGMA quick_check(1)")[0][0]
        if found != "ok":
            return " ".join(str(found).split())
        if not _rows(path, "SELECT version_num FROM alembic_version"):
            return "its creation was cut short"
    except sqlite3.OperationalError as error:
        return "its creation was cut short" if "no such table" in str(error) else None  # in use: MLflow will wait
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def tells_damage(error: Exception, path: Path) -> bool:
    """Whether MLflow failed because of what is in the file, as against a full disk or another process."""
    text = str(error)
    if OUTDATED in text:
        return not _rows_or_none(path, "SELECT 1 FROM runs LIMIT 1")
    return any(words in text for words in TELLTALES)


def set_aside(path: Path, reason: str) -> str:
    """Rename the store to the first free `<name>.damaged-N`; returns the line that says so."""
    number = next(n for n in range(1, 10_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    kept = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, kept)
    for suffix in ("-journal", "-wal", "-shm"):  # a journal of one file would be played into the next
        side = path.with_name(path.name + suffix)
        if side.exists():
            os.replace(side, kept.with_name(kept.name + suffix))
    reason = " ".join(reason.split())[:120]
    return (
        f"{path.name} was damaged ({reason}) and is kept as {kept.name}; the runs of the present outputs are written "
        "anew, older history is in that file only"
    )


def create(path: Path, initialize: Callable[[str], object]) -> None:
    """Let `initialize` make a store at another address, and move it to `path` when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    for left in path.parent.glob(f"{partial.name}*"):
        left.unlink()
    initialize(f"{SCHEME}{partial}")
    os.replace(partial, path)


def lost_artifacts(path: Path, tag: str) -> set[str]:
    """The runs with `tag` whose folder of artifacts is gone."""
    query = f"SELECT run_uuid, artifact_uri FROM runs JOIN tags USING (run_uuid) WHERE key = '{tag}'"
    return {run for run, uri in _rows(path, query) if not Path(unquote(urlsplit(uri).path)).exists()}


def moved_artifacts(path: Path, folder: Path) -> list[tuple[int, str, str]]:
    """Our experiments whose artifacts the store looks for elsewhere than below `folder`: id, old and new address."""
    query = "SELECT experiment_id, name, artifact_location FROM experiments WHERE name LIKE 'normlab-%'"
    places = [(one, old, (folder / name).as_uri()) for one, name, old in _rows_or_none(path, query)]
    return [place for place in places if place[1] != place[2]]


def move_artifacts(path: Path, folder: Path) -> None:
    """Let a store that was moved or copied with its folder look for artifacts there: MLflow stores whole paths."""
    moved = moved_artifacts(path, folder)
    if not moved:
        return
    with closing(sqlite3.connect(path)) as store, store:
        for one, old, new in moved:
            store.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, one))
            store.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, one, len(old), old),
            )
