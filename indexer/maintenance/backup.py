"""Backups: the catalogue as one file, and an index made again from such a file.

The catalogue is all that has to be kept: the vector index is made again from it at once, patch
tokens from the pictures (`indexer.maintenance.fix`).
"""

from __future__ import annotations

import logging
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from indexer.maintenance.on_server import require_file
from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.backup import copy_catalog, verify_backup
from retrieval.catalog.sqlite.replace import follow_on, name_aside, overwrite, set_aside, take_place
from retrieval.errors import CatalogError, MmsearchError, VectorStoreError
from retrieval.paths import absolute
from retrieval.storage.disk import delete_database
from retrieval.storage.index_dir import IndexDir, resolve_index_dir
from retrieval.storage.patch_token_inventory import take_inventory
from retrieval.storage.patch_tokens import PatchTokenStore, discard
from retrieval.storage.writer_lock import writer_lock
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.faiss.store import FaissStore
from retrieval.vectors.registry import store_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """What a restored index has. `kept`: where the index that was there before stands now.

    `without_tokens` counts pictures whose patch tokens are to be made again.
    """

    images: int
    without_tokens: int
    kept: Path | None


def back_up(
    file: str | os.PathLike[str],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    replace: bool = False,
) -> int:
    """Copy the catalogue to a file, while others may read and write it; returns its pictures.

    The copy is checked from its first page to its last before it takes its name. A file that is
    there already is left alone unless it is to be replaced. Raises MmsearchError where it is
    there, IndexMissingError where there is no index, CatalogError where it cannot be copied.
    """
    location = resolve_index_dir(index_dir)
    require_file(location, "pg_dump copies it")
    target = absolute(file)
    Catalog.open(location.catalog).close()
    if target.is_dir():
        raise MmsearchError(f"{target} is a folder: name a file in it.")
    if target.exists() and (not replace or target.samefile(location.catalog)):
        raise MmsearchError(f"{target} is there already.", code="file-exists", path=target)
    if not target.parent.is_dir():
        raise MmsearchError(f"There is no folder {target.parent}: make it first.")
    return copy_catalog(location.catalog, target)


def restore(
    file: str | os.PathLike[str],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    replace: bool = False,
) -> Restored:
    """Make the index anew from a backup.

    An index that is there already is left alone unless it is to be replaced; then its catalogue
    is kept beside the new one as `catalog.replaced-DATE.sqlite`. Programs that are asking it
    meanwhile go on with the restored one. Raises MmsearchError where an index is there,
    CatalogError where the file is no sound catalogue, IndexBusyError while another process writes,
    StorageError where the disk is full.
    """
    location = resolve_index_dir(index_dir)
    require_file(location, "pg_restore puts a copy in its place")
    source = absolute(file)
    verify_backup(source)
    if location.catalog.exists() and source.samefile(location.catalog):
        raise MmsearchError(f"{source} is the catalogue of this very index.")
    with writer_lock(location):
        was_there = location.catalog.exists() and location.catalog.stat().st_size > 0
        if was_there and not replace:
            raise MmsearchError(
                f"There is an index in {location.folder} already.",
                code="index-exists",
                folder=location.folder,
            )
        kept = _put_in_place(source, location, was_there)
        with Catalog.create(location.catalog) as catalog:
            made_by = catalog.encoder
            images = catalog.count_items()
            held = 0
            if made_by is not None:
                held = len(take_inventory(location.tokens, made_by.fingerprint).ids)
                _rebuild_vectors(catalog, location)
            return Restored(images, max(0, images - held), kept)


def _rebuild_vectors(catalog: Catalog, location: IndexDir) -> None:
    """A copy of the vectors of its own, since the backed-up index may still use the former one."""
    choice = StoreChoice.of(catalog.vector_store)
    if choice != choice.afresh():
        with catalog.transaction() as change:
            change.set_vector_store(choice.afresh().text)
    with closing(store_of(catalog, location.folder)) as store:
        try:
            store.rebuild(catalog)
        except VectorStoreError as error:
            logger.warning("%s", error)


def _put_in_place(source: Path, location: IndexDir, was_there: bool) -> Path | None:
    """The backup as the index's catalogue; returns where the former one is kept."""
    fresh = location.folder / "catalog.restoring.sqlite"
    try:
        copy_catalog(source, fresh)
        if not was_there:
            _discard_copies(location)
            take_place(fresh, location.catalog)
            return None
        aside = name_aside(location.catalog, "catalog.replaced")
        try:
            for older in (fresh, location.catalog):
                with Catalog.open(older) as catalog:
                    catalog.upgrade()
            same = follow_on(fresh, location.catalog)
            copy_catalog(location.catalog, aside)
            # Before the catalogue changes: old tokens beside a new vector give wrong answers.
            _keep_tokens(location, same)
        except CatalogError:
            # What is there is damaged, perhaps past reading: keep its files as they are.
            _discard_copies(location)
            set_aside(location.catalog, aside)
            take_place(fresh, location.catalog)
            return aside
        overwrite(location.catalog, fresh)
        return aside
    finally:
        delete_database(fresh)


def _discard_copies(location: IndexDir) -> None:
    """Have nothing be taken for a copy of the catalogue that comes."""
    discard(location.tokens)
    FaissStore(location.folder).invalidate()


def _keep_tokens(location: IndexDir, ids: set[int]) -> None:
    """Drop the patch tokens of all pictures but these."""
    with Catalog.open(location.catalog) as former:
        made_by = former.encoder
    if made_by is None:
        discard(location.tokens)
        return
    inventory = take_inventory(location.tokens, made_by.fingerprint)
    if inventory.is_damaged:
        discard(location.tokens)
    elif location.tokens.exists():
        with PatchTokenStore.open(location.tokens, made_by.fingerprint) as tokens:
            tokens.remove(sorted((inventory.ids | inventory.odd_ids) - ids))
