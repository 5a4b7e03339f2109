"""What a target holds against what the catalogue knows of it; a run and its preview share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.pipeline.diff import ScanDiff, compare
from indexer.pipeline.exclude import Exclusions
from indexer.pipeline.offline import Mounts, keep_offline
from indexer.pipeline.scan import Scan
from indexer.pipeline.targets import Target, is_populated, is_reachable
from retrieval.catalog import KnownFile
from retrieval.errors import ImageError


@dataclass(frozen=True)
class Survey:
    """A target, what a scan saw of it, and how that differs from what is known.

    `failures` and `disks` are the scan's. `absent` are folders whose disk seems not to be there;
    what lies on them does not differ. `is_there` is False where that is all of the target.
    """

    target: Target
    differences: ScanDiff
    failures: Mapping[str, ImageError]
    disks: Sequence[str]
    absent: list[Path]
    is_there: bool = True


def is_away(target: Target) -> bool:
    """Whether the disk of the target's root seems not to be there."""
    # Below a mount point without its disk, everything looks as if it had been deleted.
    return not (is_populated(target.root) if target.below else is_reachable(target.root))


def survey(
    target: Target,
    known: Iterable[tuple[str, KnownFile]],
    exclusions: Exclusions,
    disks: Mounts | None = None,
    *,
    is_elsewhere: bool = False,
) -> Survey:
    """Scan a target and compare it with `known`, see `compare`.

    `disks` are those that the catalogue remembers, if there is one. Pictures of a root that
    `is_elsewhere` need no file: none of them counts as gone. Opens no picture and changes nothing.
    """
    found = Scan(target.root.path, target.below, exclusions)
    differences = compare(found, known)
    if found.is_empty and not target.below and differences.known:
        # An empty folder where pictures were is most likely a mount point without its disk.
        absent = [] if is_elsewhere else [target.root.path]
        return Survey(target, ScanDiff(), {}, (), absent, is_there=False)
    absent = []
    if is_elsewhere:
        differences = replace(differences, vanished={}, mended=[])
    elif disks is not None:
        differences, absent = keep_offline(target, differences, disks)
    return Survey(target, differences, found.failures, found.disks, absent)
