"""The vector index on disk: a copy of the catalogue's vectors that can always be made again.

A manifest, `vectors.json`, names the index file and the generation of the catalogue that it
shows. Both are written under another name, synced and renamed, the manifest last, so that after
a crash at any instant there is either the old copy or the new one.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import Vectors
from retrieval.errors import IndexMissingError
from retrieval.storage.disk import sync_file, sync_folder
from retrieval.vectors.base import Ids, IndexDefects, StoreFacts
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.kinds import (
    AUTO,
    FLAT_HALVES,
    POINTS_A_LIST,
    choose_kind,
    count_lists,
    is_outgrown,
)
from retrieval.vectors.faiss.overlay import OverlayIndex
from retrieval.vectors.faiss.refined import searchable
from retrieval.vectors.faiss.tuning import make_questions, merge_nearest, tune
from retrieval.vectors.snapshot import OverlaySnapshot

if TYPE_CHECKING:
    from retrieval.catalog import Catalog

logger = logging.getLogger(__name__)

MANIFEST = "vectors.json"
# A large copy is not written again for a handful of changes: readers catch up on those.
_LARGE_COUNT = 500_000
_TOLERATED_LAG = 0.01
# A graph keeps the nodes of removed vectors; with more of them it is made anew.
_TOLERATED_REMOVED = 0.2
# Younger ones may be another process's that is just writing them.
_ABANDONED_AFTER_S = 3600
_SAMPLE = 262_144


@dataclass(frozen=True)
class Manifest:
    """What `vectors.json` says.

    `recall` is recall@10 against exact search, measured when the index was made, with `effort`,
    see `FaissIndex`, on the collection of `trained_on` vectors that it learnt from. `checksum` is
    the CRC-32 of the index file, asked for where its size or time is not as it was left.
    """

    file: str
    kind: str
    dim: int
    count: int
    generation: int
    size_bytes: int
    mtime_ns: int
    checksum: int
    effort: int
    trained_on: int
    recall: float


@dataclass(frozen=True)
class Built:
    """A whole index, the generation that it shows, and its measured recall@10.

    `trained_on` is how large the collection was that the index learnt from.
    """

    index: FaissIndex
    generation: int
    trained_on: int
    recall: float


class FaissStore:
    """Keeps the index file of one index folder in step with its catalogue (a `VectorStore`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, catalog: Catalog | QuickReader) -> OverlaySnapshot:
        """The index as the catalogue stands now.

        A file that is behind catches up from the rows that it misses; one that is missing or
        damaged is made again from the catalogue, which is said in one log line. Raises
        IndexMissingError where the catalogue has no vectors yet.
        """
        snapshot = self._open(catalog)
        if snapshot is None:
            built = build_index(catalog.full if isinstance(catalog, QuickReader) else catalog)
            # Someone who may only read the folder can still search: the copy stays in memory.
            with suppress(OSError):
                self._write(built)
            answering = searchable(built.index, catalog)
            return OverlaySnapshot(OverlayIndex(answering), built.generation)
        return snapshot.caught_up(catalog)

    def refresh(self, catalog: Catalog) -> None:
        """Bring the file up to date; for the one process that writes the catalogue."""
        if catalog.encoder is None:
            return
        self._sweep()
        manifest = self.manifest()
        snapshot = self._open(catalog)
        if (
            manifest is None
            or snapshot is None
            or is_outgrown(
                manifest.kind,
                catalog.count_items(),
                manifest.trained_on,
                catalog.vector_index_choice or AUTO,
            )
        ):
            self._write(build_index(catalog))
            return
        caught_up = snapshot.caught_up(catalog)
        if caught_up.generation == manifest.generation:
            return
        if not caught_up.index.pending:
            # What changed was no vector: without this, every question would look for it.
            self._write_manifest(replace(manifest, generation=caught_up.generation))
            return
        if (
            manifest.count >= _LARGE_COUNT
            and caught_up.index.pending < manifest.count * _TOLERATED_LAG
        ):
            return
        if file_checksum(self._folder / manifest.file) != manifest.checksum:
            # Carried over into a new file, the damage would have a checksum that fits.
            logger.warning("The vector index is damaged: making it again.")
            self._write(build_index(catalog))
            return
        index = FaissIndex.read(self._folder / manifest.file, manifest.kind, manifest.effort)
        with catalog.changes_since(manifest.generation) as (generation, removed, chunks):
            index.remove(removed)
            for ids, vectors in chunks:
                index.remove(ids)
                index.add(ids, vectors.astype(np.float32))
        if index.removed_share > _TOLERATED_REMOVED:
            self._write(build_index(catalog))
            return
        self._write(Built(index, generation, manifest.trained_on, manifest.recall))

    def rebuild(self, catalog: Catalog) -> None:
        """Make the file again from the catalogue, whatever is there; for the writing process."""
        self._sweep()
        self._write(build_index(catalog))

    def invalidate(self) -> None:
        """Trust the file on disk no longer, so that whoever opens it makes it again."""
        (self._folder / MANIFEST).unlink(missing_ok=True)

    def facts(self, catalog: Catalog | QuickReader) -> StoreFacts | None:
        """What stands on disk; None where there is nothing that can be read."""
        found = self.manifest()
        if found is None:
            return None
        return StoreFacts(found.kind, found.generation, found.count, found.effort, found.recall)

    def defects(self, catalog: Catalog) -> IndexDefects:
        """Compare the index file, its checksum, generation and ids with the catalogue."""
        # Here, since a question does without.
        from retrieval.vectors.faiss.verify import compare_with_catalog

        return compare_with_catalog(self._folder, catalog)

    def close(self) -> None:
        """Nothing is held: files that are mapped go with the index that was loaded."""

    def exact_copy(self, catalog: Catalog, generation: int | None) -> FaissIndex | None:
        """The copy on disk, to mend a damaged catalogue of that generation with.

        None where it is of another generation, damaged, or not exact.
        """
        manifest = self.manifest()
        if manifest is None or manifest.generation != generation or manifest.kind != FLAT_HALVES:
            return None
        path = self._folder / manifest.file
        try:
            if file_checksum(path) != manifest.checksum:
                return None
            return FaissIndex.read(path, manifest.kind)
        except (OSError, RuntimeError):
            return None

    def manifest(self) -> Manifest | None:
        """What stands on disk; None where there is nothing that can be read."""
        try:
            return Manifest(**json.loads((self._folder / MANIFEST).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _open(self, catalog: Catalog | QuickReader) -> OverlaySnapshot | None:
        """The copy on disk, or None where there is none that can be trusted."""
        for _ in range(3):
            manifest = self.manifest()
            encoder = catalog.encoder
            if manifest is None or encoder is None:
                if (self._folder / MANIFEST).exists():
                    logger.warning("The vector index's manifest is damaged: making it again.")
                return None
            if manifest.generation > catalog.generation or manifest.dim != encoder.dim:
                logger.warning("The vector index is not of this catalogue: making it again.")
                return None
            path = self._folder / manifest.file
            try:
                if not _looks_sound(path, manifest):
                    raise RuntimeError("checksum")
                base = FaissIndex.map(path, manifest.kind, manifest.effort)
            except FileNotFoundError:
                # A writer may just have replaced it; then the manifest names another file now.
                continue
            except (OSError, RuntimeError):
                logger.warning("The vector index is damaged: making it again.")
                return None
            answering = searchable(base, catalog)
            return OverlaySnapshot(OverlayIndex(answering), manifest.generation)
        logger.warning("The vector index is missing: making it again.")
        return None

    def _sweep(self) -> None:
        """Delete what earlier runs left behind when they were cut off."""
        manifest = self.manifest()
        for path in [*self._folder.glob("vectors*.tmp"), *self._folder.glob("vectors-*.faiss")]:
            with suppress(OSError):
                is_old = time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
                if is_old and (manifest is None or path.name != manifest.file):
                    path.unlink()

    def _write(self, built: Built) -> None:
        previous = self.manifest()
        index = built.index
        name = f"vectors-{built.generation}-{secrets.token_hex(4)}.faiss"
        path = self._folder / name
        temporary = path.with_suffix(".tmp")
        try:
            index.save(temporary)
            sync_file(temporary)
            manifest = Manifest(
                file=name,
                kind=index.kind,
                dim=index.dim,
                count=len(index),
                generation=built.generation,
                size_bytes=temporary.stat().st_size,
                mtime_ns=temporary.stat().st_mtime_ns,
                checksum=file_checksum(temporary),
                effort=index.effort,
                trained_on=built.trained_on,
                recall=built.recall,
            )
            temporary.replace(path)
            self._write_manifest(manifest)
        finally:
            temporary.unlink(missing_ok=True)
        if previous is not None:
            # Where the system refuses to delete a file in use, the next writer does it.
            with suppress(OSError):
                (self._folder / previous.file).unlink(missing_ok=True)

    def _write_manifest(self, manifest: Manifest) -> None:
        listing = self._folder / f"vectors-{secrets.token_hex(4)}.json.tmp"
        listing.write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
        sync_file(listing)
        listing.replace(self._folder / MANIFEST)
        sync_folder(self._folder)


def build_index(catalog: Catalog) -> Built:
    """A whole index from the catalogue's rows.

    Raises IndexMissingError where the catalogue has no vectors yet.
    """
    encoder = catalog.encoder
    if encoder is None:
        raise IndexMissingError("Nothing has been indexed yet.")
    count = catalog.count_items()
    kind = choose_kind(count, catalog.vector_index_choice or AUTO)
    if kind == FLAT_HALVES or not count:
        index = FaissIndex.empty(encoder.dim)
        with catalog.changes_since(0) as (generation, _removed, chunks):
            for ids, vectors in chunks:
                index.add(ids, vectors.astype(np.float32))
        return Built(index, generation, count, 1.0)
    size = max(_SAMPLE, POINTS_A_LIST * count_lists(kind))
    sample = catalog.sample_vectors(size).astype(np.float32)
    questions = make_questions(sample)
    index = FaissIndex.trained(kind, sample)
    nearest: tuple[Vectors, Ids] | None = None
    with catalog.changes_since(0) as (generation, _removed, chunks):
        for ids, halves in chunks:
            full = halves.astype(np.float32)
            index.add(ids, full)
            nearest = merge_nearest(nearest, questions, ids, full)
    assert nearest is not None
    recall = tune(searchable(index, catalog), questions, nearest[1])
    return Built(index, generation, count, recall)


def _looks_sound(path: Path, manifest: Manifest) -> bool:
    """Whether it is the file that was written; one with its size and time is taken to be.

    Reading all of it at every start would cost a question more time than all else. A copy of the
    folder has other times, and is read.
    """
    found = path.stat()
    if found.st_size != manifest.size_bytes:
        return False
    return found.st_mtime_ns == manifest.mtime_ns or file_checksum(path) == manifest.checksum


def file_checksum(path: Path) -> int:
    """The CRC-32 of all of a file, as the manifest keeps it."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            checksum = zlib.crc32(block, checksum)
    return checksum
