"""From the paths that a person names to roots of the catalogue and what to scan in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.pipeline.planned_roots import PlannedRoots
from retrieval.catalog import Catalog, Root
from retrieval.errors import MmsearchError
from retrieval.paths import absolute


@dataclass(frozen=True)
class Target:
    """A root, and the folder or file below it that is to be scanned; all of it where empty."""

    root: Root
    below: str = ""

    @property
    def path(self) -> Path:
        """What is to be scanned, as one path."""
        return self.root.path / self.below


def resolve_targets(
    catalog: Catalog | PlannedRoots, paths: Sequence[str | os.PathLike[str]]
) -> list[Target]:
    """Add what is new among the paths to the catalogue's roots; say what to scan.

    A path inside a root belongs to it; a folder around roots takes them in. Raises MmsearchError
    for a path that is neither on disk nor known.
    """
    targets: list[Target] = []
    for path in dict.fromkeys(absolute(path) for path in paths):
        around = _deepest_around(catalog.roots(), path)
        if around is None:
            require_there(path)
            folder = path.parent if os.path.isfile(path) else path  # noqa: PTH113
            with catalog.transaction() as change:
                around = change.add_root(folder)
        below = "" if path == around.path else path.relative_to(around.path).as_posix()
        if below and is_reachable(around) and not catalog.knows_files(around.id, below):
            require_there(path)
        if not below:
            _take_in_inner_roots(catalog, around)
        targets.append(Target(around, below))
    # A root that an earlier path stood in may have been taken in by a later one.
    present = {root.id for root in catalog.roots()}
    targets = [target for target in targets if target.root.id in present]
    return [
        target
        for target in targets
        if not any(_contains(other, target) for other in targets if other is not target)
    ]


def require_there(path: Path) -> None:
    """Raise MmsearchError where nothing is at the path."""
    if not os.path.lexists(path):
        raise MmsearchError(f"There is nothing at {path}: check the path.")


def is_reachable(root: Root) -> bool:
    """False where a root's disk seems not to be there."""
    return os.path.isdir(root.path)  # noqa: PTH112 - any error, not only absence, means no


def is_populated(root: Root) -> bool:
    """False where a root cannot be looked into or is empty, as a mount point without a disk is."""
    try:
        with os.scandir(root.path) as entries:
            return any(entries)
    except OSError:
        return False


def _deepest_around(roots: Sequence[Root], path: Path) -> Root | None:
    around = [root for root in roots if _holds(root.path, path)]
    return max(around, key=lambda root: len(root.path.parts), default=None)


def _take_in_inner_roots(catalog: Catalog | PlannedRoots, outer: Root) -> None:
    """Make roots inside this one part of it, save those whose files may well not be there.

    Taken in, the pictures of an absent disk, and those that were imported from elsewhere, would
    look as if their files had been deleted.
    """
    elsewhere = catalog.elsewhere()
    inner = [
        root
        for root in catalog.roots()
        if root.id != outer.id
        and _holds(outer.path, root.path)
        and root.path not in elsewhere
        and is_populated(root)
    ]
    if inner:
        with catalog.transaction() as change:
            for root in inner:
                change.merge_root(root, outer)


def _contains(outer: Target, inner: Target) -> bool:
    return outer.root.id == inner.root.id and (
        not outer.below or inner.below.startswith(outer.below + "/")
    )


def _holds(folder: Path, path: Path) -> bool:
    return folder == path or folder in path.parents
