"""Files as other programs write them: clip-retrieval 2.45, rclip 3.3, immich 2 (pg_dump)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_clip_retrieval(
    folder: Path, parts: Sequence[tuple[np.ndarray, Mapping[str, Sequence[object]]]]
) -> Path:
    """An output folder of `clip-retrieval inference`: vectors and columns, file by file."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for number, (vectors, columns) in enumerate(parts):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors.astype(np.float16))
        pq.write_table(
            pa.table({name: list(values) for name, values in columns.items()}),
            folder / "metadata" / f"metadata_{number}.parquet",
        )
    return folder


def write_rclip(path: Path, vectors: Mapping[str, np.ndarray], version: int = 4) -> Path:
    """rclip's database with a row for each path; one more that it has marked as deleted."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE images (id INTEGER PRIMARY KEY, deleted BOOLEAN,"
            " filepath TEXT NOT NULL UNIQUE, modified_at DATETIME NOT NULL,"
            " size INTEGER NOT NULL, vector BLOB NOT NULL, indexing BOOLEAN, hash TEXT);"
            "CREATE TABLE db_version (version INTEGER)"
        )
        database.execute("INSERT INTO db_version VALUES (?)", (version,))
        rows = [
            (None, name, 1.7e9, 1234, vector.astype(np.float32).tobytes())
            for name, vector in vectors.items()
        ]
        rows.append((1, "/gone.jpg", 1.0, 1, rows[0][4]))
        database.executemany(
            "INSERT INTO images (deleted, filepath, modified_at, size, vector)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        database.commit()
    return path


def immich_dump(assets: Sequence[tuple[str, str, np.ndarray]], *, model: str) -> str:
    """A dump with these pictures, (id, path, vector), a video, and one that is in the bin."""
    first = assets[0][2]
    rows = [(id_, path, "IMAGE", r"\N", vector) for id_, path, vector in assets]
    rows.append(("film", "/usr/src/app/upload/film.mp4", "VIDEO", r"\N", first))
    rows.append(("bin", "/usr/src/app/upload/bin.jpg", "IMAGE", "2026-01-01", first))
    copied = "\n".join(f"{id_}\t{kind}\t{path}\t{gone}" for id_, path, kind, gone, _ in rows)
    searched = "\n".join(
        f"{id_}\t[{','.join(map(repr, vector.astype(float).tolist()))}]"
        for id_, _, _, _, vector in rows
    )
    nothing = "\t".join([r"\N"] * 7)
    exif = "\n".join(
        (
            'COPY public.asset_exif ("assetId", make, model, "exifImageWidth", "exifImageHeight",'
            ' "dateTimeOriginal", latitude, longitude, description, rating) FROM stdin;',
            f"{assets[0][0]}\tFUJIFILM\tX100V\t6240\t4160\t2024-05-01 10:11:12+00"
            "\t48.1\t11.5\ta tab\\there\\\\\\n\t5",
            f"{assets[1][0]}\t{nothing}\t\t\\N",
            "\\.",
        )
    )
    return f"""--
-- PostgreSQL database dump
--
SET client_encoding = 'UTF8';
CREATE TABLE public.smart_search (
    "assetId" uuid NOT NULL,
    embedding public.vector(4)
);

COPY public.asset (id, type, "originalPath", "deletedAt") FROM stdin;
{copied}
\\.

{exif}

COPY public.smart_search ("assetId", embedding) FROM stdin;
{searched}
\\.

COPY public.system_metadata (key, value) FROM stdin;
system-config\t{{"machineLearning": {{"clip": {{"modelName": "{model}"}}}}}}
\\.
"""
