"""Exporting an index, or a part of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from indexer.exporting.rows import ExportedRows, count_rows, exported_rows
from indexer.report import Progress, SilentProgress
from retrieval.catalog import Catalog
from retrieval.encoders.requirements import require_packages
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import IndexMissingError, MmsearchError
from retrieval.paths import absolute
from retrieval.query.filters import Filter
from retrieval.storage.disk import storage_errors
from retrieval.storage.index_dir import resolve_index_dir

Layout = Literal["parquet", "npy", "webdataset"]
ROWS_A_SHARD = 100_000


@dataclass(frozen=True)
class ExportReport:
    """How many `pictures` went into how many `shards`, and `bare` ones without their picture."""

    pictures: int
    shards: int
    bare: int = 0


class _Shards(Protocol):
    def write(self, rows: ExportedRows) -> None: ...


def export_index(
    folder: str | os.PathLike[str],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    layout: Layout = "parquet",
    only: Filter | None = None,
    rows_a_shard: int = ROWS_A_SHARD,
    progress: Progress | None = None,
) -> ExportReport:
    """Write items and vectors into a folder, which is made or empty; the index stays as it is.

    `layout`: parquet files with all facts and a column `embedding`; `npy`, the folders of
    clip-retrieval; `webdataset`, tar files that hold the pictures as well. `import_vectors` reads
    the first two. Vectors come out as they are stored, float16 at unit length.

    Raises IndexMissingError where nothing is indexed, MmsearchError where the folder holds
    something, UnknownModelError where a package is missing, StorageError where the disk is full.
    """
    require_packages("Exporting", "exchange", "pyarrow", "webdataset")
    location = resolve_index_dir(index_dir)
    place = absolute(folder)
    told = progress or SilentProgress()
    with Catalog.open(location.address) as catalog, storage_errors(place):
        space = catalog.encoder
        if space is None:
            raise IndexMissingError(
                f"The index in {location.folder} is empty.", folder=location.folder
            )
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise MmsearchError(f"The folder {place} is not empty.", code="file-exists")
        count = count_rows(catalog, only)
        shards = _shards(layout, place, space, math.ceil(count / rows_a_shard))
        told.start(count)
        pictures = written = 0
        try:
            for rows in exported_rows(catalog, only, rows_a_shard):
                shards.write(rows)
                pictures += len(rows.items)
                written += 1
                told.advance(len(rows.items))
        finally:
            told.finish()
    return ExportReport(pictures, written, getattr(shards, "bare", 0))


def _shards(layout: Layout, place: Path, space: EmbeddingSpace, count: int) -> _Shards:
    if layout == "webdataset":
        from indexer.exporting.tars import TarShards

        return TarShards(place)
    from indexer.exporting.tables import NumpyShards, ParquetShards

    if layout == "npy":
        return NumpyShards(place, space, count)
    return ParquetShards(place, space)
