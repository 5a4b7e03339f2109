"""Following folders: what changes in them is indexed a moment later, until told to stop.

Each round is an ordinary run of `index_folders` over what changed, so that nothing is done here in
a way of its own; between rounds the index is free for other writers.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.pipeline.exclude import check_patterns
from indexer.pipeline.run import index_folders
from indexer.pipeline.targets import require_there
from indexer.report import IndexReport
from indexer.watch.observer import FolderObserver
from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder
from retrieval.encoders.bound import BoundEncoder
from retrieval.errors import IndexBusyError, MmsearchError
from retrieval.paths import absolute
from retrieval.storage.index_dir import IndexDir, resolve_index_dir

QUIET_S = 1.0
MAX_DELAY_S = 30.0
RESCAN_S = 3600.0
_TICK_S = 0.2
_LOOK_FOR_FOLDERS_S = 2.0


@dataclass(frozen=True)
class Round:
    """What one round did. `cause` is `start`, `change` or `rescan`."""

    cause: str
    summary: IndexReport


def watch_folders(
    paths: Sequence[str | os.PathLike[str]] = (),
    index_dir: str | os.PathLike[str] | None = None,
    *,
    stop: threading.Event,
    report: Callable[[Round], None],
    model: str | None = None,
    precision: str = "auto",
    encoder: Encoder | None = None,
    exclude: Sequence[str] = (),
    quiet_s: float = QUIET_S,
    max_delay_s: float = MAX_DELAY_S,
    rescan_s: float = RESCAN_S,
) -> None:
    """Index folders, then what changes in them, until `stop` is set; the batch in hand is kept.

    Without paths, all folders of the index are followed, also those that are added meanwhile.
    Changes are taken in once nothing has changed for `quiet_s` seconds, or `max_delay_s` after the
    first of them. Every `rescan_s` all is looked at again, for what the system does not tell of:
    linked folders, network drives. A folder that goes is waited for. While another process writes
    to the index, changes are kept until it is done. `exclude` is as in `index_folders`, in all
    rounds.

    Raises MmsearchError where a path is not there or is no folder, IndexMissingError where there
    are no paths and no index, and what `index_folders` raises.
    """
    check_patterns(exclude)
    location = resolve_index_dir(index_dir)
    named = [absolute(path) for path in paths]
    for path in named:
        if path.exists() and not path.is_dir():
            raise MmsearchError(f"{path} is a file: name the folder that it is in.")
        if not location.has_catalog:
            require_there(path)
    delays_s = (quiet_s, max_delay_s)
    watch = _Watch(location, named, stop, report, model, precision, encoder, exclude, delays_s)
    watch.run(rescan_s)


class _Watch:
    """What one watch keeps between its rounds."""

    def __init__(
        self,
        location: IndexDir,
        named: list[Path],
        stop: threading.Event,
        report: Callable[[Round], None],
        model: str | None,
        precision: str,
        encoder: Encoder | None,
        exclude: Sequence[str],
        delays_s: tuple[float, float],
    ) -> None:
        self._location = location
        self._named = named
        self._stop = stop
        self._report = report
        self._model = model
        self._precision = precision
        self._encoder = encoder
        self._exclude = exclude
        self._delays_s = delays_s
        # Taken back where they were removed, once; what is removed later stays out.
        self._to_take_back = set(named)
        self._followed: dict[Path, FolderObserver] = {}

    def run(self, rescan_s: float) -> None:
        """Follow the folders until told to stop."""
        try:
            self._look_for_folders()
            # They are followed before the first look, so that nothing falls between the two.
            for folder in self._followed.values():
                folder.changes.take()
            self._round("start", list(self._followed))
            looked = scanned = time.monotonic()
            while not self._stop.wait(_TICK_S):
                now = time.monotonic()
                if now - looked >= _LOOK_FOR_FOLDERS_S:
                    self._look_for_folders()
                    looked = now
                if now - scanned >= rescan_s:
                    self._round("rescan", [path for path in self._followed if path.is_dir()])
                    scanned = time.monotonic()
                ready = [folder for folder in self._followed.values() if folder.changes.is_ready()]
                if ready:
                    self._take_in(ready)
        finally:
            for folder in self._followed.values():
                folder.stop()

    def _look_for_folders(self) -> None:
        wanted = self._named or self._roots()
        for path in set(self._followed) - set(wanted):
            self._followed.pop(path).stop()
        for path in wanted:
            if path not in self._followed:
                self._followed[path] = FolderObserver(
                    path, [self._location.folder], *self._delays_s
                )
            self._followed[path].look_for()

    def _take_in(self, folders: list[FolderObserver]) -> None:
        changed = [path for folder in folders for path in folder.changes.take()]
        with Catalog.open(self._location.address) as catalog:
            targets = [path for path in changed if _matters(path, catalog)]
        if not targets:
            return
        self._round("change", targets)

    def _round(self, cause: str, targets: Sequence[Path]) -> None:
        """Index the targets; where that cannot be just now, they are kept for a later round."""
        try:
            summary = self._index(targets)
        except MmsearchError as error:
            # Another process is writing, or a path has gone since it was seen.
            is_passing = isinstance(error, IndexBusyError) or (
                cause == "change" and type(error) is MmsearchError
            )
            if not is_passing:
                raise
            self._keep(targets)
        else:
            self._to_take_back.difference_update(targets)
            self._report(Round(cause, summary))

    def _keep(self, targets: Sequence[Path]) -> None:
        for target in targets:
            for path, folder in self._followed.items():
                if target == path or path in target.parents:
                    folder.changes.note(os.fspath(target))

    def _index(self, targets: Sequence[Path]) -> IndexReport:
        if self._encoder is None and self._location.has_catalog:
            with Catalog.open(self._location.address) as catalog:
                made_by = catalog.encoder
            if made_by is not None and self._model in (None, made_by.name):
                self._encoder = BoundEncoder(made_by, precision=self._precision)
        return index_folders(
            targets,
            self._location.folder,
            model=self._model,
            precision=self._precision,
            encoder=self._encoder,
            exclude=self._exclude,
            take_back=[path for path in targets if path in self._to_take_back],
            stop=self._stop,
        )

    def _roots(self) -> list[Path]:
        with Catalog.open(self._location.address) as catalog:
            return [root.path for root in catalog.roots()]


def _matters(path: Path, catalog: Catalog) -> bool:
    """False for a file that came and went, of which the index knows nothing."""
    if os.path.lexists(path):
        return True
    for root in catalog.roots():
        if path == root.path:
            return True
        if root.path in path.parents:
            below = path.relative_to(root.path).as_posix()
            if catalog.knows_files(root.id, below):
                return True
    return False
