"""Parquet files with a column of names and one of vectors, as an export writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from indexer.importing.source import ROWS_A_BATCH, ForeignBatch, name_of_source, unusable
from indexer.importing.tables import NAME_COLUMNS, VECTOR_COLUMNS, known_columns, pictures

MODEL_KEY = b"mmsearch.model"


class ParquetSource:
    """One parquet file, or all of a folder, in the order of their names."""

    def __init__(self, path: Path) -> None:
        self.name = name_of_source(path)
        self._files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        schema = pq.read_schema(self._files[0])
        self._named_by = _chosen(path, schema, NAME_COLUMNS)
        self._vectors = _chosen(path, schema, VECTOR_COLUMNS)
        model = (schema.metadata or {}).get(MODEL_KEY)
        self.model = model.decode() if model else None
        self.dim = self._dim()

    def names(self) -> Iterator[str]:
        """See `Source`."""
        for path in self._files:
            with pq.ParquetFile(path) as file:
                for rows in file.iter_batches(columns=[self._named_by]):
                    yield from map(str, rows.column(0).to_pylist())

    def batches(self) -> Iterator[ForeignBatch]:
        """See `Source`; raises MmsearchError where vectors are not of one length."""
        for path in self._files:
            with pq.ParquetFile(path) as file:
                columns = [*known_columns(file.schema_arrow.names), self._vectors]
                for rows in file.iter_batches(ROWS_A_BATCH, columns=columns):
                    vectors = _matrix(path, rows.column(self._vectors), self.dim)
                    told = rows.drop_columns([self._vectors])
                    yield ForeignBatch(list(pictures(told, self._named_by)), vectors)

    def _dim(self) -> int:
        for path in self._files:
            with pq.ParquetFile(path) as file:
                for rows in file.iter_batches(1, columns=[self._vectors]):
                    return len(rows.column(0)[0])
        raise unusable(self._files[0], "it has no rows")


def _chosen(path: Path, schema: pa.Schema, wanted: tuple[str, ...]) -> str:
    found = next((name for name in wanted if name in schema.names), None)
    if found is None:
        raise unusable(path, f"it has none of the columns {', '.join(wanted)}")
    return found


def _matrix(path: Path, column: pa.Array, dim: int) -> NDArray[np.floating]:
    flat = column.flatten()
    if column.null_count or len(flat) != dim * len(column):
        raise unusable(path, f"some vectors have not the {dim} dimensions of the first")
    values: NDArray[np.floating] = flat.to_numpy(zero_copy_only=False)
    return values.reshape(-1, dim)
