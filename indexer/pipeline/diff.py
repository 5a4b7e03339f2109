"""Scan against catalogue: which files must be read, and which pictures have lost their file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from indexer.pipeline.scan import Scan, ScannedFile
from retrieval.catalog import KnownFile
from retrieval.media.base import is_supported

# These failures can mend without a trace in the file's size or time stamp.
_PASSING_FAILURES = frozenset({"unreadable", "vanished"})


@dataclass(frozen=True)
class ScanDiff:
    """What a scan changes.

    `to_read`: files that are new or look changed. `vanished`: ids by path of files that
    are gone. `mended`: paths of noted failures that are no longer there. `unchanged` counts files
    that need nothing, `still_failing` those of them that failed before and would again. `known` is
    what the catalogue knows of the files to read and of all that the scan did not see.
    """

    to_read: list[ScannedFile] = field(default_factory=list)
    vanished: dict[str, int] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)
    unchanged: int = 0
    still_failing: int = 0
    known: dict[str, KnownFile] = field(default_factory=dict)


def compare(scan: Scan, known: Iterable[tuple[str, KnownFile]]) -> ScanDiff:
    """What must be done so that the catalogue shows what the scan sees.

    Both are gone through once, side by side, and what is the same on both is kept nowhere: the
    memory that this takes grows with the differences alone. `known` is in the order of the paths'
    bytes, and asked for its first file before the scan is.

    A file counts as unchanged where size and time of modification are as they were, and the
    catalogue knows all of it that it keeps of a picture.
    """
    to_read: list[ScannedFile] = []
    known_of_read: dict[str, KnownFile] = {}
    unchanged = 0
    still_failing = 0
    remembered = _Remembered(known)
    for file in scan:
        before = remembered.take(file.path)
        if before is None:
            to_read.append(file)
        elif _looks_changed(file, before):
            to_read.append(file)
            known_of_read[file.path] = before
        elif before.file_id is None:
            still_failing += 1
        else:
            unchanged += 1
    unseen = remembered.rest()
    vanished: dict[str, int] = {}
    mended: list[str] = []
    for path, before in unseen.items():
        if _is_hidden(path, scan.failures):
            continue
        if before.failure_kind is not None:
            mended.append(path)
        if before.file_id is not None:
            vanished[path] = before.file_id
    return ScanDiff(
        to_read, vanished, mended, unchanged, still_failing, {**unseen, **known_of_read}
    )


class _Remembered:
    """Files that the catalogue knows, in order, to be asked for in nearly the same order."""

    def __init__(self, known: Iterable[tuple[str, KnownFile]]) -> None:
        self._known: Iterator[tuple[str, KnownFile]] = iter(known)
        self._next = next(self._known, None)
        self._passed: dict[str, KnownFile] = {}

    def take(self, path: str) -> KnownFile | None:
        """What is known of a path; each is asked for once."""
        # What is in front is most often it, and comparing bytes costs more.
        if self._next is not None and self._next[0] != path:
            self._pass_to(os.fsencode(path))
        if self._next is None or self._next[0] != path:
            # Asked for late, as what lies behind a symbolic link is.
            return self._passed.pop(path, None)
        known = self._next[1]
        self._next = next(self._known, None)
        return known

    def rest(self) -> dict[str, KnownFile]:
        """All that was never asked for."""
        if self._next is not None:
            self._passed.update([self._next, *self._known])
            self._next = None
        return self._passed

    def _pass_to(self, path: bytes) -> None:
        while self._next is not None and os.fsencode(self._next[0]) < path:
            self._passed[self._next[0]] = self._next[1]
            self._next = next(self._known, None)


def _looks_changed(file: ScannedFile, before: KnownFile) -> bool:
    if before.failure_kind in _PASSING_FAILURES or before.lacks_facts:
        return True
    if before.failure_kind == "unsupported" and is_supported(file.path):
        return True
    return (file.size_bytes, file.mtime_ns) != (before.size_bytes, before.mtime_ns)


def _is_hidden(path: str, failures: Mapping[str, object]) -> bool:
    """True where a folder above the file could not be read: it may well be there still."""
    if not failures:
        return False
    if "" in failures or path in failures:
        return True
    parts = path.split("/")
    return any("/".join(parts[:depth]) in failures for depth in range(1, len(parts)))
