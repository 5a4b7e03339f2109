"""Exported rows as Arrow tables, and parquet files of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from indexer.exporting.rows import ExportedRows, facts_of
from indexer.importing.parquet import MODEL_KEY
from retrieval.encoders.space import EmbeddingSpace

_TEXTS = (
    "camera_make", "camera_model", "lens", "title", "caption", "creator", "copyright", "software",
    "url",
)  # fmt: skip
_FLOATS = (
    "focal_length_mm", "focal_length_35mm", "aperture", "exposure_s", "latitude", "longitude",
    "altitude_m",
)  # fmt: skip
_WHOLE = ("iso", "orientation", "rating")


def schema_of(space: EmbeddingSpace) -> pa.Schema:
    """The columns of an export: `path`, sizes, facts, and `embedding` as float16."""
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("width_px", pa.int32()),
            pa.field("height_px", pa.int32()),
            pa.field("taken_at", pa.timestamp("us")),
            *(pa.field(name, pa.float64()) for name in _FLOATS),
            *(pa.field(name, pa.int32()) for name in _WHOLE),
            *(pa.field(name, pa.string()) for name in _TEXTS),
            pa.field("keywords", pa.list_(pa.string())),
            pa.field("embedding", pa.list_(pa.float16(), space.dim), nullable=False),
        ],
        metadata={MODEL_KEY: space.name.encode(), b"mmsearch.fingerprint": space.fingerprint},
    )


def facts_table(rows: ExportedRows, schema: pa.Schema) -> pa.Table:
    """The rows without their vectors. Bytes of paths that are no text are replaced."""
    records = [facts_of(item) for item in rows.items]
    for record in records:
        record["path"] = record["path"].encode("utf-8", "replace").decode()
    told = pa.schema([field for field in schema if field.name != "embedding"])
    return pa.Table.from_pylist(records, schema=told)


class ParquetShards:
    """Writes `part-00000.parquet` and so on, each of a chunk of rows."""

    def __init__(self, folder: Path, space: EmbeddingSpace) -> None:
        self._folder = folder
        self._schema = schema_of(space)
        self._dim = space.dim
        self._written = 0

    def write(self, rows: ExportedRows) -> None:
        """One more file."""
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors.reshape(-1)), self._dim)
        facts = facts_table(rows, self._schema)
        table = facts.append_column(self._schema.field("embedding"), vectors)
        pq.write_table(table.cast(self._schema), self._folder / f"part-{self._written:05}.parquet")
        self._written += 1


class NumpyShards:
    """Writes the layout of clip-retrieval: `img_emb/*.npy` beside `metadata/*.parquet`."""

    def __init__(self, folder: Path, space: EmbeddingSpace, shards: int) -> None:
        self._embeddings = folder / "img_emb"
        self._facts = folder / "metadata"
        for part in (self._embeddings, self._facts):
            part.mkdir(parents=True, exist_ok=True)
        self._schema = schema_of(space)
        # clip-retrieval sorts by name: numbers are as long as the longest.
        self._digits = len(str(max(0, shards - 1)))
        self._written = 0

    def write(self, rows: ExportedRows) -> None:
        """One more pair of files."""
        import numpy as np

        number = str(self._written).zfill(self._digits)
        np.save(self._embeddings / f"img_emb_{number}.npy", rows.vectors)
        table = facts_table(rows, self._schema)
        names = ["image_path" if name == "path" else name for name in table.column_names]
        table = table.rename_columns(names)
        pq.write_table(table, self._facts / f"metadata_{number}.parquet")
        self._written += 1
