"""What a target holds against what the catalogue knows of it; a run and its preview share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.pipeline.diff import ScanDiff, compare
from indexer.pipeline.exclude import Exclusions
from indexer.pipeline.offline import Mounts, keep_offline
from indexer.pipeline.scan import Scan, scan
from indexer.pipeline.targets import Target, is_populated, is_reachable
from retrieval.catalog import KnownFile


@dataclass(frozen=True)
class Survey:
    """A target, what a scan saw of it, what is known of it, and how the two differ.

    `absent` are folders whose disk seems not to be there; what lies on them does not differ.
    `is_there` is False where that is all of the target.
    """

    target: Target
    found: Scan
    known: Mapping[str, KnownFile]
    differences: ScanDiff
    absent: list[Path]
    is_there: bool = True


def is_away(target: Target) -> bool:
    """Whether the disk of the target's root seems not to be there."""
    # Below a mount point without its disk, everything looks as if it had been deleted.
    return not (is_populated(target.root) if target.below else is_reachable(target.root))


def survey(
    target: Target,
    known: Mapping[str, KnownFile],
    exclusions: Exclusions,
    disks: Mounts | None = None,
    *,
    is_elsewhere: bool = False,
) -> Survey:
    """Scan a target and compare; `disks` are those that the catalogue remembers, if there is one.

    Pictures of a root that `is_elsewhere` need no file: none of them counts as gone. Opens no
    picture and changes nothing.
    """
    found = scan(target.root.path, target.below, exclusions)
    if found.is_empty and not target.below and known:
        # An empty folder where pictures were is most likely a mount point without its disk.
        nothing = Scan()
        absent = [] if is_elsewhere else [target.root.path]
        return Survey(target, nothing, {}, compare(nothing, {}), absent, False)
    differences = compare(found, known)
    if is_elsewhere:
        return Survey(target, found, known, replace(differences, vanished={}, mended=[]), [])
    absent = []
    if disks is not None:
        differences, absent = keep_offline(target, differences, disks)
    return Survey(target, found, known, differences, absent)
