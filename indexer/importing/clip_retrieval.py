"""clip-retrieval's embedding folders: `img_emb/*.npy` beside `metadata/*.parquet`.

Files belong together by the number at the end of their names, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from indexer.importing.source import ROWS_A_BATCH, ForeignBatch, name_of_source, unusable
from indexer.importing.tables import known_columns, name_column, pictures


class ClipRetrievalSource:
    """A folder that `clip-retrieval inference` wrote; it does not say with which model."""

    model: str | None = None

    def __init__(self, folder: Path) -> None:
        self.name = name_of_source(folder)
        self._parts = list(_parts(folder))
        self.dim = int(np.load(self._parts[0][0], mmap_mode="r").shape[1])

    def names(self) -> Iterator[str]:
        """See `Source`."""
        for _, facts in self._parts:
            with pq.ParquetFile(facts) as file:
                column = _named_by(facts, file)
                for rows in file.iter_batches(columns=[column]):
                    yield from map(str, rows.column(0).to_pylist())

    def batches(self) -> Iterator[ForeignBatch]:
        """See `Source`; raises MmsearchError where two files do not fit."""
        for embeddings, facts in self._parts:
            vectors: NDArray[np.floating] = np.load(embeddings, mmap_mode="r")
            with pq.ParquetFile(facts) as file:
                if vectors.ndim != 2 or len(vectors) != file.metadata.num_rows:
                    raise unusable(
                        embeddings,
                        f"it is of shape {vectors.shape}, and {facts.name} has "
                        f"{file.metadata.num_rows} rows",
                    )
                column = _named_by(facts, file)
                columns = known_columns(file.schema_arrow.names)
                begin = 0
                for rows in file.iter_batches(ROWS_A_BATCH, columns=columns):
                    part = vectors[begin : begin + len(rows)]
                    begin += len(rows)
                    yield ForeignBatch(list(pictures(rows, column)), np.asarray(part))


def _parts(folder: Path) -> Iterator[tuple[Path, Path]]:
    found = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=_number)
    if not found:
        raise unusable(folder, "img_emb/ holds no img_emb_*.npy")
    for embeddings in found:
        number = embeddings.stem.removeprefix("img_emb_")
        facts = folder / "metadata" / f"metadata_{number}.parquet"
        if not facts.exists():
            raise unusable(folder, f"{embeddings.name} has no metadata/{facts.name} beside it")
        yield embeddings, facts


def _number(path: Path) -> tuple[int, str]:
    number = path.stem.removeprefix("img_emb_")
    return (int(number) if number.isdecimal() else 0, path.name)


def _named_by(path: Path, file: pq.ParquetFile) -> str:
    column = name_column(file.schema_arrow.names)
    if column is None:
        raise unusable(path, "it has no column image_path")
    return column
