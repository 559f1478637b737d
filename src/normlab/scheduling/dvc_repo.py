"""DVC's inner interface, in one place: what is stale, what the run cache holds, and the record of a finished stage.

DVC has no public way to run stages side by side. What `dvc repro` does between two commands is done here by the methods
that it calls itself (`dvc/repo/reproduce.py`, `Stage.run` and `Stage.reproduce` of DVC 3.67), so that the files are the
same. Whoever moves to another minor version reads these again and changes `DVC_VERSION`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dvc
from dvc.env import DVC_ROOT, DVC_STAGE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_single_stage_lockfile

from normlab.scheduling.child import program
from normlab.specs.strict import InputError

DVC_VERSION = "3.67"
WRITE_EVERY = 30.0  # seconds between two writes of dvc.lock
WRITING_SHARE = 20.0  # and at least this many times as long as the last write took


class Pipeline:
    """The stages of one repository while its DVC lock is held; made by `open_pipeline`.

    Attributes:
        names: the stages in the order of `dvc repro`.
        needs: for each of them the stages whose outputs it reads.
        pulling: whether `restore` takes outputs from the remote, too.
    """

    def __init__(self, repo: Any) -> None:
        self._repo = repo
        graph = get_active_graph(repo.index.graph)
        stages = plan_repro(graph, collect_stages(repo, ["dvc.yaml"]))
        self._stages: dict[str, Any] = {stage.addressing: stage for stage in stages}
        self.names = list(self._stages)
        self.needs = {name: {one.addressing for one in graph.successors(stage)} for name, stage in self._stages.items()}
        self._entered = set(stages[0].dvcfile.lockfile_contents.get("stages", {})) if stages else set()
        self._pending: dict[str, Any] = {}
        self.pulling = False
        self._written, self._took = time.monotonic(), 0.0

    def commands(self, name: str) -> tuple[str, ...]:
        """The lines of a stage's `cmd`."""
        command = self._stages[name].cmd
        return tuple(command) if isinstance(command, list) else tuple((command or "").splitlines())

    def programs(self) -> list[str]:
        """The modules that the stages run as `python -m MODULE`, each once."""
        found = [program(command) for name in self.names for command in self.commands(name)]
        return list(dict.fromkeys(words[0] for words in found if words))

    def environment(self, name: str) -> Mapping[str, str]:
        """What DVC adds to the environment of its commands."""
        return {DVC_ROOT: self._repo.root_dir, DVC_STAGE: name}

    def folder(self, name: str) -> str:
        """The folder that its commands run in."""
        return str(self._stages[name].wdir)

    def is_current(self, name: str) -> bool:
        """Whether nothing that the stage depends on has changed, nor its command or outputs."""
        with _one_line():
            return not self._stages[name].changed()

    def restore(self, name: str) -> bool:
        """Take the outputs of a stale stage from the run cache, and record them; else prepare for a run.

        A frozen stage and one without a command are not run: their outputs are recorded as they are.

        Returns:
            Whether the stage is done.

        Raises:
            InputError: a dependency does not exist, or DVC cannot write.
        """
        stage = self._stages[name]
        with _one_line():
            if stage.frozen or not stage.cmd:
                stage.reproduce()
                self._pending[name] = stage
                return True
            stage.remove_outs(ignore_remove=False, force=False)
            try:
                self._repo.stage_cache.restore(stage, pull=self.pulling)
            except RunCacheNotFoundError:
                stage.save_deps()
                return False
        self.record(name)
        return True

    def record(self, name: str) -> None:
        """Take what a stage has written into the cache and the run cache; `write_lock` enters it into dvc.lock.

        Raises:
            InputError: an output is missing, or DVC cannot write.
        """
        stage = self._stages[name]
        with _one_line():
            uncached = any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))
            stage.save(run_cache=not uncached)
            stage.commit()
        self._pending[name] = stage

    def entry(self, name: str) -> dict[str, Any]:
        """What dvc.lock says, or is to say, of a stage."""
        return json.loads(json.dumps(to_single_stage_lockfile(self._stages[name])))

    def remote(self) -> tuple[str, str]:
        """Name and address of the storage that clones share, DVC's default remote.

        Raises:
            InputError: there is none.
        """
        name = self._repo.config["core"].get("remote")
        if not name:
            raise InputError(
                "SCHEDULER: expected a storage that all machines reach, as DVC's default remote; "
                "there is none: .venv/bin/dvc remote add --local --default shared PATH_OR_URL"
            )
        return name, str(self._repo.config["remote"][name]["url"])

    def share(self, name: str, runs: bool = False) -> None:
        """Copy the outputs of a stage to the remote, and with `runs` the run cache."""
        with _one_line():
            for objects in self._stages[name].get_used_objs().values():
                _all_of(self._repo.cloud.push(objects), f"{name} to the remote")
            if runs:
                self._repo.stage_cache.push(None)

    def fetch(self, name: str, entry: Mapping[str, Any]) -> None:
        """Put the outputs that another clone has made of a stage, as it says in `entry`, in their places."""
        with _one_line():
            made = self._repo.stage_cache._create_stage(entry, wdir=self._stages[name].wdir)
            for objects in made.get_used_objs().values():
                _all_of(self._repo.cloud.pull(objects), f"{name} from the remote")
            made.checkout(force=True)

    def fetch_runs(self) -> None:
        """Copy the run cache of the remote, so that `restore` finds what other clones have made."""
        with _one_line():
            self._repo.stage_cache.pull(None)

    def write_lock(self, now: bool = True) -> None:
        """Enter recorded stages into dvc.lock: `now`, or once it is time again, for a write costs DVC seconds.

        New entries are written in the order of `dvc repro`, each after all that come before it. So dvc.lock is at all
        times one that `dvc repro` could have left, also after an interruption; what is held back is in the run cache.
        """
        if not now and time.monotonic() - self._written < max(WRITE_EVERY, WRITING_SHARE * self._took):
            return
        begun = time.monotonic()
        stages = [self._pending.pop(name) for name in self._in_order()]
        if stages:
            with _one_line():
                pipeline = [stage for stage in stages if isinstance(stage, PipelineStage)]
                for stage in stages:
                    if stage not in pipeline:  # a .dvc file is its own record
                        stage.dump(update_pipeline=False)
                if pipeline:
                    pipeline[0].dvcfile.dump_stages(pipeline, update_pipeline=False)
            self._entered |= {stage.addressing for stage in stages}
        self._written = time.monotonic()
        self._took = self._written - begun

    def _in_order(self) -> list[str]:
        ready, gap = [], False
        for name in self.names:
            if name in self._pending and (name in self._entered or not gap):
                ready.append(name)
            elif name not in self._entered and isinstance(self._stages[name], PipelineStage):
                gap = True
        return ready


def _all_of(transfer: Any, what: str) -> None:
    if transfer.failed:
        raise InputError(f"DVC: {len(transfer.failed)} files of {what} could not be copied")


@contextmanager
def open_pipeline(root: Path, entering: bool = True) -> Iterator[Pipeline]:
    """The stages of the repository at `root`, which no other DVC can change meanwhile.

    Afterwards dvc.lock is complete, unless nothing is to be entered there.

    Raises:
        InputError: another version of DVC, another DVC at work, or a pipeline that DVC refuses.
    """
    check_version(dvc.__version__)
    with _one_line():
        repo = Repo(str(root))
    try:
        with _locked(repo), repo.scm_context(quiet=True):
            with _one_line():
                pipeline = Pipeline(repo)
            try:
                yield pipeline
            finally:
                if entering:
                    pipeline.write_lock()
    finally:
        repo.close()


def check_version(found: str) -> None:
    """Refuse any DVC but the one whose inner interface this module knows."""
    if ".".join(found.split(".")[:2]) != DVC_VERSION:
        raise InputError(
            f"DVC {found}: stages run side by side through the inner interface of DVC {DVC_VERSION}, which "
            "`make setup` installs; JOBS=1 works with others"
        )


@contextmanager
def _locked(repo: Any) -> Iterator[None]:
    try:
        repo.lock.lock()
    except LockError:
        raise InputError("another DVC or `make repro` is at work here: wait for it or end it, then try again") from None
    try:
        repo._reset()
        yield
    finally:
        repo.lock.unlock()


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except DvcException as error:
        reason = " ".join(str(error).split())
        cause = f": {' '.join(str(error.__cause__).split())}" if error.__cause__ else ""
        raise InputError(f"DVC: {reason}{cause}") from error
    except OSError as error:  # disk full, a file that vanished
        raise InputError(f"DVC: {error.filename or 'its cache'}: {error.strerror or error}") from error
