"""Forgetting a folder, and telling the index that a library now lies elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from indexer.pipeline.removed import with_removed
from retrieval.errors import MmsearchError
from retrieval.index import Index
from retrieval.paths import absolute


def remove_folder(
    path: str | os.PathLike[str], index_dir: str | os.PathLike[str] | None = None
) -> int:
    """Forget all pictures below a folder, or one picture; returns how many. Files stay.

    Inside of a folder that stays indexed, the path is kept out from now on, see `index_folders`.

    Raises MmsearchError where the index knows nothing of the path.
    """
    folder = absolute(path)
    with Index.writing(index_dir) as index:
        catalog = index.catalog
        ids = catalog.ids_within(folder).tolist()
        file_ids = catalog.file_ids_of(ids)
        inside = [root for root in catalog.roots() if root.path.is_relative_to(folder)]
        around = [root for root in catalog.roots() if folder.is_relative_to(root.path)]
        failed = {
            root: [
                below
                for below, known in catalog.known_files(
                    root.id, folder.relative_to(root.path).as_posix()
                )
                if known.file_id is None
            ]
            for root in around
        }
        if not ids and not inside and not any(failed.values()):
            raise MmsearchError(
                f"The index knows nothing of {folder}.", code="not-indexed", path=folder
            )
        with catalog.transaction() as change:
            change.remove_files(file_ids)
            for root, paths in failed.items():
                change.forget_failures(root.id, paths)
            for root in inside:
                change.remove_root(root.id)
            left = [root for root in catalog.roots() if root not in inside]
            change.set_removed(with_removed(catalog.removed(), folder, left))
            elsewhere = catalog.elsewhere()
            gone = {root.path for root in inside}
            if not gone.isdisjoint(elsewhere):
                change.set_elsewhere([path for path in elsewhere if path not in gone])
        if catalog.encoder is not None:
            index.patch_tokens.remove(ids)
            index.refresh_vectors()
        return len(ids)


def move_root(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    index_dir: str | os.PathLike[str] | None = None,
) -> int:
    """Say that an indexed folder now lies elsewhere; returns how many pictures went with it.

    Nothing is encoded again. Imported pictures, whose files need not be there until then, are
    looked for from now on. Raises MmsearchError where `old` is no indexed folder, `new` is not
    there, or `new` overlaps another indexed folder.
    """
    source, target = absolute(old), absolute(new)
    with Index.writing(index_dir) as index:
        catalog = index.catalog
        roots = catalog.roots()
        moved = next((root for root in roots if root.path == source), None)
        if moved is None:
            raise MmsearchError(
                f"{source} is not one of the indexed folders.", code="not-indexed", path=source
            )
        if not target.is_dir():
            raise MmsearchError(f"There is no folder at {target}: check the path.")
        for other in roots:
            overlaps = other.path.is_relative_to(target) or target.is_relative_to(other.path)
            if other.id != moved.id and overlaps:
                raise MmsearchError(
                    f"{target} overlaps {other.path}, which is indexed already: "
                    "remove one of them first."
                )
        with catalog.transaction() as change:
            change.set_root_path(moved.id, target)
            change.set_disks(_moved(catalog.disks(), source, target))
            change.set_removed(_moved(catalog.removed(), source, target))
            change.set_elsewhere([path for path in catalog.elsewhere() if path != source])
        return catalog.count_items(moved.id)


def _moved(paths: Sequence[Path], source: Path, target: Path) -> list[Path]:
    return [
        target / path.relative_to(source) if path.is_relative_to(source) else path for path in paths
    ]
