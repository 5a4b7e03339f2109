"""Folders whose disk seems not to be there: their pictures are kept in the index.

A picture whose file is gone may have been deleted, or its disk may be unplugged. The second is
assumed for a folder that lay on a disk of its own and shows none of its pictures as they were,
and for one that held many pictures and is empty now, as a mount point without its disk is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

from indexer.pipeline.diff import ScanDiff
from indexer.pipeline.targets import Target
from retrieval.catalog import Catalog

# Somebody who empties a folder of fewer pictures by hand means it.
MANY_FILES = 100


class Mounts:
    """The folders that lie on disks of their own, as the catalogue remembers them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._folders = catalog.disks()
        self._absent: dict[Path, bool] = {}

    def absent_around(self, path: Path) -> Path | None:
        """The folder around `path` whose disk is not there now, or None."""
        for folder in self._folders:
            if path.is_relative_to(folder) and self._is_absent(folder):
                return folder
        return None

    def note(self, target: Target, disks: Iterable[str]) -> None:
        """Remember which folders of a target, relative to its root, are on disks of their own.

        One that is no longer on its own is forgotten only when its pictures are there.
        """
        seen = {target.root.path / folder for folder in disks}
        kept = {
            folder
            for folder in self._folders
            if not folder.is_relative_to(target.path)
            or (folder not in seen and self._is_absent(folder))
        }
        if seen | kept == set(self._folders):
            return
        self._folders = sorted(seen | kept)
        with self._catalog.transaction() as change:
            change.set_disks(self._folders)

    def _is_absent(self, folder: Path) -> bool:
        if folder not in self._absent:
            self._absent[folder] = not self._shows_a_file(folder)
        return self._absent[folder]

    def _shows_a_file(self, folder: Path) -> bool:
        """True where any picture below the folder is as the catalogue knows it, or none is known.

        One is enough: another disk in the same place shows none.
        """
        known_any = False
        for root in self._catalog.roots():
            if not folder.is_relative_to(root.path):
                continue
            below = folder.relative_to(root.path).as_posix()
            with closing(self._catalog.known_files(root.id, below)) as known:
                for path, file in known:
                    if file.file_id is None:
                        continue
                    known_any = True
                    if not os.path.isdir(folder):  # noqa: PTH112
                        return False
                    try:
                        facts = os.stat(root.path / path)  # noqa: PTH116
                    except OSError:
                        continue
                    if (facts.st_size, facts.st_mtime_ns) == (file.size_bytes, file.mtime_ns):
                        return True
        return not known_any


def keep_offline(
    target: Target, differences: ScanDiff, disks: Mounts
) -> tuple[ScanDiff, list[Path]]:
    """The differences without what only looks deleted, and the folders that seem to be away."""
    emptied = _emptied_folders(target, differences.vanished)
    absent: set[Path] = set()

    def is_away(path: str) -> bool:
        place = target.root.path / path
        folder = disks.absent_around(place)
        if folder is None:
            folder = next((one for one in emptied if place.is_relative_to(one)), None)
        if folder is not None:
            absent.add(folder)
        return folder is not None

    vanished = {path: id_ for path, id_ in differences.vanished.items() if not is_away(path)}
    mended = [path for path in differences.mended if not is_away(path)]
    return replace(differences, vanished=vanished, mended=mended), sorted(absent)


def _emptied_folders(target: Target, vanished: Iterable[str]) -> list[Path]:
    """Folders below the root without any entry where many pictures have vanished."""
    counts: Counter[PurePosixPath] = Counter()
    for path in vanished:
        counts.update(PurePosixPath(path).parents)
    return [
        target.root.path / folder
        for folder, count in counts.items()
        if count > MANY_FILES and _is_empty(target.root.path / folder)
    ]


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return not any(entries)
    except OSError:
        return False
