"""From the paths that a person names to roots of the catalogue and what to scan in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.catalog import Catalog, Root
from retrieval.errors import MmsearchError


@dataclass(frozen=True)
class Target:
    """A root, and the folder or file below it that is to be scanned; all of it where empty."""

    root: Root
    below: str = ""

    @property
    def path(self) -> Path:
        """What is to be scanned, as one path."""
        return self.root.path / self.below


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the top, `~` and `..` resolved; symbolic links stay as they were given."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100


def settle_targets(catalog: Catalog, paths: Sequence[str | os.PathLike[str]]) -> list[Target]:
    """Add what is new among the paths to the catalogue's roots; say what to scan.

    A path inside a root belongs to it; a folder around roots takes them in. Raises MmsearchError
    for a path that is neither on disk nor known.
    """
    targets: list[Target] = []
    for path in dict.fromkeys(absolute(path) for path in paths):
        roots = catalog.roots()
        around = next((root for root in roots if _holds(root.path, path)), None)
        if around is not None:
            below = "" if path == around.path else path.relative_to(around.path).as_posix()
            if not os.path.lexists(path) and not catalog.known_files(around.id, below):
                raise MmsearchError(f"There is nothing at {path}: check the path.")
            targets.append(Target(around, below))
            continue
        if not os.path.lexists(path):
            raise MmsearchError(f"There is nothing at {path}: check the path.")
        folder = path.parent if path.is_file() else path
        with catalog.transaction() as change:
            outer = change.add_root(folder)
            for inner in roots:
                if _holds(folder, inner.path) and inner.id != outer.id:
                    change.merge_root(inner, outer)
        targets.append(Target(outer, path.name if path.is_file() else ""))
    # A root that an earlier path stood in may have been taken in by a later one.
    present = {root.id for root in catalog.roots()}
    return [target for target in targets if target.root.id in present]


def is_reachable(root: Root) -> bool:
    """False where a root's disk seems not to be there."""
    return root.path.is_dir()


def _holds(folder: Path, path: Path) -> bool:
    return folder == path or folder in path.parents
