"""Whether the vector index on disk shows what the catalogue holds; nothing is changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.catalog import Catalog
from retrieval.vectors.base import IndexDefects
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.store import MANIFEST, FaissStore, Manifest, file_checksum


def compare_with_catalog(folder: Path, catalog: Catalog) -> IndexDefects:
    """Compare the index file, its checksum, generation and ids with the catalogue."""
    encoder = catalog.encoder
    manifest = FaissStore(folder).manifest()
    if encoder is None:
        return IndexDefects()
    if manifest is None:
        return IndexDefects("damaged" if (folder / MANIFEST).exists() else "missing")
    if manifest.generation > catalog.generation or manifest.dim != encoder.dim:
        return IndexDefects("of another catalogue")
    path = folder / manifest.file
    if not path.exists():
        return IndexDefects("missing")
    if not _is_file_sound(path, manifest):
        return IndexDefects("damaged")
    try:
        stored = FaissIndex.map(path, manifest.kind, manifest.effort).ids()
    except (OSError, RuntimeError):
        return IndexDefects("damaged")
    with catalog.changes_since(manifest.generation) as (_generation, removed, _chunks):
        written = catalog.vector_ids(since=manifest.generation)
    wanted = catalog.vector_ids()
    shown = np.union1d(np.setdiff1d(stored, removed), written)
    twice = len(stored) - len(np.unique(stored))
    return IndexDefects(
        lacking=len(np.setdiff1d(wanted, shown)),
        foreign=len(np.setdiff1d(shown, wanted)) + twice,
    )


def _is_file_sound(path: Path, manifest: Manifest) -> bool:
    try:
        if path.stat().st_size != manifest.size_bytes:
            return False
        return file_checksum(path) == manifest.checksum
    except OSError:
        return False
