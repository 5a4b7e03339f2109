"""What is indexed without being a folder here: tar files of WebDataset, and lists of addresses.

These are the layouts that img2dataset writes and reads. A shard is a tar file, or a stretch of a
list; where they are is told to fsspec, so that they may be local, behind HTTP or in S3.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from indexer.importing.tables import metadata_of
from indexer.pipeline.exclude import Exclusions
from retrieval.encoders.requirements import require_packages
from retrieval.errors import ImageError, MmsearchError
from retrieval.images.decode import SUFFIXES
from retrieval.images.facts import ImageMetadata
from retrieval.paths import expanded

ROWS_A_SHARD = 1000
TAR, LIST = "tar", "list"
_MAX_PICTURE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Shard:
    """A tar file, or rows `begin` to `end` of a list. `mark` changes with what is in there."""

    kind: str
    url: str
    mark: str
    begin: int = 0
    end: int = 0

    @property
    def folder(self) -> str:
        """Under which name its pictures stand."""
        return PurePosixPath(self.url.split("://", 1)[-1]).stem


@dataclass(frozen=True)
class ShardPicture:
    """A picture of a shard: its bytes, or why there are none."""

    name: str
    data: bytes
    metadata: ImageMetadata
    failure: ImageError | None = None


def is_sharded(source: str) -> bool:
    """Whether a source is tar files or a list, rather than a folder or a picture."""
    if source.endswith((".tar", ".parquet")) or "://" in source:
        return True
    folder = expanded(source)
    return folder.is_dir() and any(folder.glob("*.tar"))


def find_shards(sources: Sequence[str]) -> list[Shard]:
    """All shards of the sources, in order; a folder stands for the tar files in it, `*` for many.

    Raises MmsearchError where there is nothing, or a list has no column `url`.
    """
    require_packages("Indexing shards", "ray", "fsspec", "pyarrow")
    import fsspec

    found: list[Shard] = []
    for source in sources:
        fs, path = fsspec.core.url_to_fs(source)
        try:
            if "*" in path:
                paths = sorted(fs.glob(path))
            else:
                paths = sorted(fs.glob(f"{path}/*.tar")) if fs.isdir(path) else [path]
            for one in paths:
                found += _shards_of(fs, one)
        except (OSError, ValueError) as error:
            raise MmsearchError(
                f"{source} cannot be read ({error}).", code="import-source", path=source
            ) from error
        if not paths:
            raise MmsearchError(f"There are no shards at {source}.", code="import-source")
    return found


def pictures_of(shard: Shard, exclusions: Exclusions | None = None) -> Iterator[ShardPicture]:
    """The pictures of a shard; one that cannot be fetched comes with its failure.

    What is excluded, by its path within the shard's folder, is neither fetched nor told.
    """
    pictures = _of_tar if shard.kind == TAR else _of_list
    return pictures(shard, exclusions or Exclusions())


def path_in(shard: Shard, name: str) -> str:
    """The path within the shard's folder: of a list, the address without its scheme."""
    told = name.split("://", 1)[-1] if shard.kind == LIST else name
    parts = [part for part in told.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def _shards_of(fs: Any, path: str) -> list[Shard]:
    facts = fs.info(path)
    url = fs.unstrip_protocol(path)
    told = [facts.get(name) for name in ("size", "mtime", "ETag", "LastModified")]
    mark = f"{url} {' '.join(str(one) for one in told if one is not None)}"
    if not path.endswith(".parquet"):
        return [Shard(TAR, url, mark)]
    import pyarrow.parquet as pq

    with fs.open(path) as file:
        table = pq.ParquetFile(file)
        if "url" not in table.schema_arrow.names:
            raise ValueError("it has no column url")
        rows = table.metadata.num_rows
    return [
        Shard(LIST, url, f"{mark} {begin}", begin, min(rows, begin + ROWS_A_SHARD))
        for begin in range(0, rows, ROWS_A_SHARD)
    ]


def _of_tar(shard: Shard, exclusions: Exclusions) -> Iterator[ShardPicture]:
    """Pictures with what stands beside them under the same key: `.txt` and `.json`."""
    import fsspec

    with fsspec.open(shard.url, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
        key = ""
        parts: dict[str, bytes] = {}
        for member in tar:
            if not member.isfile():
                continue
            folder, _, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            own = f"{folder}/{stem}" if folder else stem
            if own != key:
                yield from _sample(shard, key, parts, exclusions)
                key, parts = own, {}
            if member.size <= _MAX_PICTURE_BYTES:
                content = tar.extractfile(member)
                parts[suffix.lower()] = content.read() if content is not None else b""
        yield from _sample(shard, key, parts, exclusions)


def _sample(
    shard: Shard, key: str, parts: dict[str, bytes], exclusions: Exclusions
) -> Iterator[ShardPicture]:
    for suffix, data in parts.items():
        name = f"{key}.{suffix}"
        if f".{suffix}" not in SUFFIXES or exclusions.decide(path_in(shard, name), is_folder=False):
            continue
        yield ShardPicture(name, data, _facts(parts))


def _facts(parts: dict[str, bytes]) -> ImageMetadata:
    told: dict[str, Any] = {}
    try:
        record = json.loads(parts.get("json", b"{}"))
        told = {name: record.get(name) for name in ("url", "caption")}
    except (ValueError, AttributeError):
        pass
    if "txt" in parts:
        told["caption"] = parts["txt"].decode("utf-8", "replace").strip()
    return metadata_of(told)


def _of_list(shard: Shard, exclusions: Exclusions) -> Iterator[ShardPicture]:
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(shard.url, "rb") as file:
        table = pq.read_table(file).slice(shard.begin, shard.end - shard.begin)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    captions = columns.get("caption") or columns.get("TEXT") or columns.get("text")
    for row, url in enumerate(columns["url"]):
        if exclusions.decide(path_in(shard, str(url)), is_folder=False):
            continue
        caption = captions[row] if captions else None
        metadata = metadata_of({"url": url, "caption": caption})
        try:
            with fsspec.open(url, "rb") as file:
                data = file.read(_MAX_PICTURE_BYTES)
            yield ShardPicture(str(url), data, metadata)
        except Exception as error:  # File systems raise many kinds; each is of one picture.
            told = str(error).strip().splitlines() or [type(error).__name__]
            failure = ImageError("unreadable", f"it cannot be fetched ({told[0]})")
            yield ShardPicture(str(url), b"", metadata, failure)
