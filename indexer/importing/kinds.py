"""Which program a file or folder is of, and the source that reads it."""

from __future__ import annotations

from pathlib import Path

from indexer.importing.source import Source, unusable
from retrieval.encoders.requirements import require_packages

CLIP_RETRIEVAL = "clip-retrieval"
PARQUET = "parquet"
FAISS = "faiss"
RCLIP = "rclip"
IMMICH = "immich"
KINDS = (CLIP_RETRIEVAL, PARQUET, FAISS, RCLIP, IMMICH)

_SQLITE = b"SQLite format 3\0"
_DUMP_SUFFIXES = (".sql", ".sql.gz", ".dump")


def open_source(path: Path, kind: str | None = None, ids: Path | None = None) -> Source:
    """What lies at the path, as a source; `kind` is one of `KINDS`, told by its looks without it.

    `ids` goes with a FAISS index: the names of its pictures. Raises MmsearchError where nothing
    fitting is there, UnknownModelError where a package is missing.
    """
    if not path.exists():
        raise unusable(path, "there is nothing there")
    chosen = kind or _kind_of(path)
    if chosen == RCLIP:
        from indexer.importing.rclip import RclipSource

        return RclipSource(path)
    if chosen == IMMICH:
        from indexer.importing.immich import ImmichSource

        return ImmichSource(path)
    require_packages(f"Importing {chosen}", "exchange", "pyarrow")
    if chosen == CLIP_RETRIEVAL:
        from indexer.importing.clip_retrieval import ClipRetrievalSource

        return ClipRetrievalSource(path)
    if chosen == PARQUET:
        from indexer.importing.parquet import ParquetSource

        return ParquetSource(path)
    from indexer.importing.faiss_file import FaissSource

    return FaissSource(path, ids)


def _kind_of(path: Path) -> str:
    if path.is_dir():
        if (path / "img_emb").is_dir():
            return CLIP_RETRIEVAL
        if any(path.glob("*.parquet")):
            return PARQUET
        raise unusable(path, "the folder holds neither img_emb/ nor parquet files")
    if path.suffix == ".parquet":
        return PARQUET
    if path.name.endswith(_DUMP_SUFFIXES):
        return IMMICH
    with path.open("rb") as file:
        start = file.read(16)
    if start == _SQLITE:
        return RCLIP
    if path.suffix in (".index", ".faiss") or start[:2] in (b"Ix", b"Iw", b"IH", b"Il"):
        return FAISS
    raise unusable(path, "it looks like nothing that is known, so that its kind has to be said")
