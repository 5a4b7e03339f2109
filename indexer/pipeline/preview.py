"""What an indexing run would do, found out without doing any of it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from indexer.maintenance.check_files import content_hash
from indexer.pipeline.exclude import check_patterns
from indexer.pipeline.offline import Mounts
from indexer.pipeline.planned_roots import PlannedRoots
from indexer.pipeline.removed import exclusions_of, left_removed
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.survey import Survey, is_away, survey
from indexer.pipeline.targets import is_populated, resolve_targets
from retrieval.arguments import check_paths
from retrieval.catalog import Catalog, KnownFile, StoredFile
from retrieval.encoders.bound import BoundEncoder
from retrieval.errors import IndexMissingError
from retrieval.images.files import MAX_FILE_BYTES
from retrieval.media.base import VIDEO, is_supported, kind_of
from retrieval.storage.index_dir import IndexDir, resolve_index_dir


@dataclass
class IndexPreview:
    """The files that a run would add, read again, find moved (from, to) and forget; in its order.

    `unchanged` counts files that need nothing, `failed` those that cannot be indexed as far as
    that is known without decoding them. `absent_roots` are as in `IndexReport`.
    """

    new: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    moved: list[tuple[Path, Path]] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    unchanged: int = 0
    failed: int = 0
    absent_roots: list[Path] = field(default_factory=list)


def preview_index(
    paths: Sequence[str | os.PathLike[str]],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    exclude: Sequence[str] = (),
) -> IndexPreview:
    """What `index_folders` with the same arguments would do now. Changes and decodes nothing.

    Of files that look changed or moved the content is read. Another process may be writing to the
    index meanwhile. Raises what `index_folders` raises of paths, patterns, model and catalogue.
    """
    check_paths(paths)
    check_patterns(exclude)
    location = resolve_index_dir(index_dir)
    with ExitStack() as stack:
        catalog = _catalog(location, stack)
        if catalog is not None:
            BoundEncoder(catalog.encoder, model=model)
        return _Preview(catalog, exclude).of(paths)


def _catalog(location: IndexDir, stack: ExitStack) -> Catalog | None:
    try:
        return stack.enter_context(Catalog.open(location.address))
    except IndexMissingError:
        return None


class _Preview:
    """What the steps of one preview share."""

    def __init__(self, catalog: Catalog | None, exclude: Sequence[str]) -> None:
        self._catalog = catalog
        self._exclude = exclude
        self._roots = PlannedRoots(catalog)
        self._disks = Mounts(catalog) if catalog is not None else None
        self._preview = IndexPreview()

    def of(self, paths: Sequence[str | os.PathLike[str]]) -> IndexPreview:
        removed = left_removed(self._catalog.removed() if self._catalog else [], paths)
        elsewhere = set(self._catalog.elsewhere() if self._catalog else ())
        work = []
        for target in resolve_targets(self._roots, paths):
            is_elsewhere = target.root.path in elsewhere
            if is_away(target):
                if not is_elsewhere:
                    self._preview.absent_roots.append(target.root.path)
                continue
            known = self._roots.known_files(target.root.id, target.below)
            exclusions = exclusions_of(target.root, self._exclude, removed)
            seen = survey(target, known, exclusions, self._disks, is_elsewhere=is_elsewhere)
            self._preview.absent_roots += seen.absent
            work.append(seen)
        lost = _LostFiles(self._catalog, self._disks, _new_sizes(work))
        for seen in work:
            self._preview.unchanged += seen.differences.unchanged
            self._preview.failed += seen.differences.still_failing + len(seen.failures)
            for file in seen.differences.to_read:
                self._sort(file, seen, lost)
        moved = {source for source, _ in self._preview.moved}
        for seen in work:
            gone = [seen.target.root.path / path for path in seen.differences.vanished]
            self._preview.removed += [path for path in gone if path not in moved]
        return self._preview

    def _sort(self, file: ScannedFile, seen: Survey, lost: _LostFiles) -> None:
        """Put a file that a run would read where the run would count it."""
        path = seen.target.root.path / file.path
        before = seen.differences.known.get(file.path)
        is_too_large = file.size_bytes > MAX_FILE_BYTES and kind_of(file.path) != VIDEO
        fails = not file.size_bytes or is_too_large or not is_supported(file.path)
        try:
            if fails:
                self._preview.failed += 1
            elif before is None or before.file_id is None:
                source = lost.take(path, file.size_bytes)
                if source is None:
                    self._preview.new.append(path)
                else:
                    self._preview.moved.append((source, path))
            elif self._is_as_before(file, path, before, before.file_id):
                self._preview.unchanged += 1
            else:
                self._preview.changed.append(path)
        except OSError:
            self._preview.failed += 1

    def _is_as_before(self, file: ScannedFile, path: Path, before: KnownFile, file_id: int) -> bool:
        if before.size_bytes != file.size_bytes:
            return False
        if before.mtime_ns == file.mtime_ns:
            return True
        assert self._catalog is not None
        content = content_hash(path)
        return file_id in self._catalog.files_with_content([content]).get(content, ())


def _new_sizes(work: Sequence[Survey]) -> set[int]:
    """The sizes in bytes of all files that stand under no picture's path."""
    return {
        file.size_bytes
        for seen in work
        for file in seen.differences.to_read
        if (known := seen.differences.known.get(file.path)) is None or known.file_id is None
    }


class _LostFiles:
    """Pictures whose file is gone though its disk is there, of certain sizes in bytes."""

    def __init__(self, catalog: Catalog | None, disks: Mounts | None, sizes: set[int]) -> None:
        self._of_size: dict[int, list[tuple[Path, StoredFile]]] = defaultdict(list)
        if catalog is None or disks is None or not sizes:
            return
        for root in catalog.roots():
            if not is_populated(root):
                continue
            for file in catalog.stored_files(root.id):
                path = root.path / file.path
                if (
                    file.size_bytes in sizes
                    and not os.path.lexists(path)
                    and disks.absent_around(path) is None
                ):
                    self._of_size[file.size_bytes].append((path, file))

    def take(self, path: Path, size_bytes: int) -> Path | None:
        """Where the picture in a new file was before, or None; each is given out once.

        Raises OSError where the file cannot be read.
        """
        candidates = self._of_size.get(size_bytes)
        if not candidates:
            return None
        content = content_hash(path)
        for candidate in candidates:
            if candidate[1].content_hash == content:
                candidates.remove(candidate)
                return candidate[0]
        return None
