"""Scan against catalogue: which files must be read, and which pictures have lost their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    that need nothing, `still_failing` those of them that failed before and would again.
    """

    to_read: list[ScannedFile]
    vanished: dict[str, int]
    mended: list[str]
    unchanged: int
    still_failing: int


def compare(scan: Scan, known: Mapping[str, KnownFile]) -> ScanDiff:
    """What must be done so that the catalogue shows what the scan saw.

    A file counts as unchanged where size and time of modification are as they were, and the
    catalogue knows all of it that it keeps of a picture.
    """
    to_read: list[ScannedFile] = []
    unchanged = 0
    still_failing = 0
    for file in scan.files:
        before = known.get(file.path)
        if before is None or _looks_changed(file, before):
            to_read.append(file)
        elif before.file_id is None:
            still_failing += 1
        else:
            unchanged += 1
    present = {file.path for file in scan.files}
    gone = [path for path in known if path not in present and not _is_hidden(path, scan.failures)]
    vanished: dict[str, int] = {}
    mended: list[str] = []
    for path in gone:
        before = known[path]
        if before.failure_kind is not None:
            mended.append(path)
        if before.file_id is not None:
            vanished[path] = before.file_id
    return ScanDiff(to_read, vanished, mended, unchanged, still_failing)


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
