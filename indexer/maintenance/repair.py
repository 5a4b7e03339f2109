"""Saving what can be read of a damaged catalogue, so that only what is lost is read again."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.maintenance.on_server import require_file
from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.recover import Salvaged, fold_log_in, salvage
from retrieval.catalog.sqlite.replace import name_aside, set_aside, take_place
from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import (
    CatalogError,
    DamagedCatalogError,
    IndexMissingError,
    VectorStoreError,
)
from retrieval.storage.disk import delete_database, sync_file, sync_folder
from retrieval.storage.index_dir import IndexDir, resolve_index_dir
from retrieval.storage.patch_tokens import fingerprint_of
from retrieval.storage.writer_lock import writer_lock
from retrieval.vectors.base import ExactVectors, Ids
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.faiss.store import FaissStore
from retrieval.vectors.registry import store_of

logger = logging.getLogger(__name__)

# Under this name the new catalogue is complete, and takes the place of the damaged one.
_READY = "catalog.repaired.sqlite"
_LOGS = ("-wal", "-shm")


@dataclass(frozen=True)
class RepairSummary:
    """What a repair did.

    `was_sound`: there was nothing to repair, and nothing was changed. `lost_pictures` counts those
    of which a trace was left; an indexing run finds them again. `damaged_file` is where the
    damaged catalogue is kept. `lost_folders` stand for folders whose names could not be read.
    """

    was_sound: bool
    saved_pictures: int
    lost_pictures: int
    saved_folders: int
    saved_failures: int
    damaged_file: Path | None = None
    lost_folders: tuple[Path, ...] = ()


def repair_catalog(
    index_dir: str | os.PathLike[str] | None = None, *, model: str | None = None
) -> RepairSummary:
    """Make a sound catalogue of what can be read of a damaged one, and the vector index anew.

    The damaged file is kept under another name. `model` names the model that made the index, for
    a catalogue that no longer says. Raises IndexMissingError where there is no catalogue,
    CatalogError where nobody knows which model made it, StorageError where the disk is full.
    """
    location = resolve_index_dir(index_dir)
    require_file(location, "its server keeps it sound, and a copy of pg_dump restores it")
    path = location.catalog
    ready = path.with_name(_READY)
    if not path.exists() and not ready.exists():
        raise IndexMissingError(f"There is no catalogue in {location.folder} to repair.")
    with writer_lock(location):
        if ready.exists():
            # A repair that was cut off just before its end.
            _put_in_place(ready, location)
        if _is_sound(location):
            with Catalog.open(path) as catalog:
                _refresh(catalog, location)
                return _summary(catalog, was_sound=True)
        fresh = path.with_name("catalog.repairing.tmp")
        delete_database(fresh)
        try:
            salvaged = salvage(path, fresh, path.with_name("catalog.salvage.tmp"))
            with Catalog.open(fresh) as catalog:
                lost = _complete(catalog, location, salvaged, model)
            fold_log_in(fresh)
            sync_file(fresh)
        except BaseException:
            delete_database(fresh)
            raise
        damaged_file = _keep_damaged(path)
        fresh.replace(ready)
        sync_folder(location.folder)
        _put_in_place(ready, location)
        with Catalog.open(path) as catalog:
            _refresh(catalog, location)
            return _summary(
                catalog,
                was_sound=False,
                lost_pictures=lost,
                damaged_file=damaged_file,
                lost_folders=salvaged.lost_roots,
            )


def _is_sound(location: IndexDir) -> bool:
    """Whether the database finds nothing wrong with itself and all of it can be read."""
    try:
        with Catalog.open(location.catalog) as catalog:
            if catalog.check_integrity() or len(catalog.ids_without_vectors()):
                return False
            for root in catalog.roots():
                deque(catalog.known_files(root.id), maxlen=0)
            catalog.disks()
            with closing(store_of(catalog, location.folder)) as store:
                copy = store.exact_copy(catalog, catalog.generation)
                return not any(len(ids) for ids, _ in _corrections(catalog, copy))
    except DamagedCatalogError:
        return False


def _corrections(
    catalog: Catalog, copy: ExactVectors | None
) -> Iterator[tuple[Ids, NDArray[np.float16]]]:
    """Vectors of the copy that the catalogue has otherwise, or lacks: ids and (n, dim).

    The copy has a checksum, so that it is right where the two differ.
    """
    with catalog.changes_since(0) as (_generation, _removed, chunks):
        for ids, present in chunks:
            if copy is not None:
                # In the order of their ids, both.
                held, vectors = copy.vectors_of(ids)
                mine = present[np.isin(ids, held)]
                differ = np.flatnonzero((mine != vectors).any(axis=1))
                yield held[differ], vectors[differ]
    if copy is not None:
        yield copy.vectors_of(catalog.ids_without_vectors())


def _complete(catalog: Catalog, location: IndexDir, salvaged: Salvaged, model: str | None) -> int:
    """Vectors for the rows that lack theirs, as far as there is a copy; returns what is lost."""
    encoder = catalog.encoder or _encoder(location, salvaged.dim, model)
    with closing(store_of(catalog, location.folder)) as store:
        copy = store.exact_copy(catalog, salvaged.generation)
        corrections = list(_corrections(catalog, copy))
    with catalog.transaction() as change:
        if encoder is not None:
            change.set_encoder(encoder)
        for ids, vectors in corrections:
            change.set_vectors(ids.tolist(), vectors.astype(np.float32))
    with catalog.transaction() as change:
        change.remove_files(catalog.file_ids_of(catalog.ids_without_vectors().tolist()))
    known_before = len(salvaged.seen)
    manifest = FaissStore(location.folder).manifest()
    if manifest is not None and manifest.generation == salvaged.generation:
        known_before = max(known_before, manifest.count)
    # Pictures of which no trace was left are in the former copy still.
    choice = StoreChoice.of(catalog.vector_store)
    if choice != choice.afresh():
        catalog.note_vector_store(choice.afresh().text)
    return known_before - catalog.count_items()


def _encoder(location: IndexDir, dim: int, model: str | None) -> EmbeddingSpace | None:
    """The model that made vectors of `dim` dimensions, where the catalogue has forgotten it."""
    if not dim:
        return None
    space = load_encoder(model or DEFAULT_MODEL).space
    fingerprint = fingerprint_of(location.tokens)
    is_proven = fingerprint == space.fingerprint or (model is not None and fingerprint is None)
    if space.dim == dim and is_proven:
        return space
    raise CatalogError("The catalogue no longer says which model made it.", code="model-forgotten")


def _keep_damaged(path: Path) -> Path:
    """Give the damaged catalogue, and its log, a second name."""
    kept = name_aside(path, "catalog-damaged")
    set_aside(path, kept)
    return kept


def _put_in_place(ready: Path, location: IndexDir) -> None:
    """Let the new catalogue take the place of the damaged one, whose log must not reach it."""
    # Pictures of which no trace was left are in the vector index still.
    FaissStore(location.folder).invalidate()
    take_place(ready, location.catalog)


def _refresh(catalog: Catalog, location: IndexDir) -> None:
    """Let the vector store show the catalogue, where it is to be reached."""
    with closing(store_of(catalog, location.folder)) as store:
        try:
            store.refresh(catalog)
        except VectorStoreError as error:
            logger.warning("%s", error)


def _summary(
    catalog: Catalog,
    *,
    was_sound: bool,
    lost_pictures: int = 0,
    damaged_file: Path | None = None,
    lost_folders: tuple[Path, ...] = (),
) -> RepairSummary:
    return RepairSummary(
        was_sound=was_sound,
        saved_pictures=catalog.count_items(),
        lost_pictures=lost_pictures,
        saved_folders=len(catalog.roots()) - len(lost_folders),
        saved_failures=len(catalog.failures()),
        damaged_file=damaged_file,
        lost_folders=lost_folders,
    )
