"""How long a million vectors of clip-retrieval take to import.

The folder is made up, in the files that `clip-retrieval inference` writes: vectors of 512
dimensions in float16, and a table of keys, captions, addresses and sizes. No picture of it is on
the machine.
Rows and vectors are timed apart from the vector index, which is made of them at the end.

    python -m benchmarks.importing [--pictures 1000000] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from indexer import export_index, import_vectors
from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing
from retrieval.index import Index

DIM = 512
_ROWS_A_FILE = 100_000


class _NoEncoder:
    """Stands for the model of the vectors, which nobody asks here."""

    space = EmbeddingSpace("made-up", DIM, "0" * 32)
    preprocessing = Preprocessing(224, "crop", "bicubic")

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        return ImageEncoding(np.ones((len(pixels), DIM), np.float32) / np.sqrt(np.float32(DIM)))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        return TextEncoding(np.ones((len(texts), DIM), np.float32) / np.sqrt(np.float32(DIM)))


def write_folder(folder: Path, pictures: int) -> Path:
    """An embedding folder of so many made-up pictures."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    digits = len(str(pictures // _ROWS_A_FILE))
    for part, begin in enumerate(range(0, pictures, _ROWS_A_FILE)):
        rows = range(begin, min(pictures, begin + _ROWS_A_FILE))
        vectors = random.standard_normal((len(rows), DIM), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        number = str(part).zfill(digits)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors.astype(np.float16))
        table = pa.table(
            {
                "image_path": [f"{row:09}" for row in rows],
                "caption": [f"a photograph of a thing, number {row}" for row in rows],
                "url": [f"https://example.org/{row % 997}/{row}.jpg" for row in rows],
                "original_width": [1024] * len(rows),
                "original_height": [768] * len(rows),
            }
        )
        pq.write_table(table, folder / "metadata" / f"metadata_{number}.parquet")
    return folder


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    pictures = 500 if options.tiny else options.pictures
    with tempfile.TemporaryDirectory() as scratch:
        source = write_folder(Path(scratch) / "laion", pictures)
        page = report(source, Path(scratch), pictures)
    publish(page, "importing", keep=not options.tiny)


def report(source: Path, scratch: Path, pictures: int) -> str:
    """Import, export, and the times of both as Markdown."""
    built_s = 0.0
    build = Index.refresh_vectors

    def timed(index: Index) -> None:
        nonlocal built_s
        begun = time.monotonic()
        build(index)
        built_s += time.monotonic() - begun

    worked = time.process_time()
    with patch.object(Index, "refresh_vectors", timed):
        done = import_vectors(source, scratch / "index", encoder=_NoEncoder())
    assert done.elsewhere == pictures
    worked = time.process_time() - worked
    rows_s = done.elapsed_s - built_s
    size = sum(file.stat().st_size for file in (scratch / "index").glob("catalog.sqlite*"))
    begun = time.monotonic()
    export_index(scratch / "out", scratch / "index")
    exported_s = time.monotonic() - begun
    lines = [
        "# Importing vectors of clip-retrieval",
        "",
        f"{pictures:,} made-up pictures, {DIM} dimensions in float16, with captions, addresses and "
        "sizes; none is on the machine. One run.",
        "",
        f"Machine: {machine()}.",
        "",
        "| step | s | pictures/s |",
        "|---|---:|---:|",
        f"| rows, words and vectors into the catalogue | {rows_s:.1f} | {pictures / rows_s:,.0f} |",
        f"| the vector index | {built_s:.1f} | {pictures / max(built_s, 1e-9):,.0f} |",
        f"| all of `mmsearch import` | {done.elapsed_s:.1f} | {pictures / done.elapsed_s:,.0f} |",
        f"| `mmsearch export` to parquet | {exported_s:.1f} | {pictures / exported_s:,.0f} |",
        "",
        f"The import took {worked:.0f} s of the processors' time. The catalogue takes "
        f"{size / pictures:,.0f} bytes a picture.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
