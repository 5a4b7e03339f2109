"""What is indexed without being a folder here: tar files of WebDataset, and lists of addresses.

These are the layouts that img2dataset writes and reads. A shard is a tar file, or a stretch of a
list; where they are is told to fsspec, so that they may be local, behind HTTP or in S3.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from indexer.importing.tables import metadata_of
from indexer.pipeline.exclude import Exclusions
from retrieval.encoders.requirements import require_packages
from retrieval.errors import ImageError, MmsearchError, first_line
from retrieval.images.decode import SUFFIXES
from retrieval.images.facts import NO_METADATA, ImageMetadata
from retrieval.paths import expanded, relative_path

ROWS_A_SHARD = 1000
TAR, LIST = "tar", "list"
_MAX_PICTURE_BYTES = 256 * 2**20
_CAPTION_COLUMNS = ("caption", "TEXT", "text")


@dataclass(frozen=True)
class Shard:
    """A tar file, or rows `begin` to `end` of a list. `mark` changes with what is in there."""

    kind: str
    url: str
    mark: str
    begin: int = 0
    end: int = 0

    @property
    def name(self) -> str:
        """Its address as a relative path, which no other shard has."""
        return relative_path(self.url.removeprefix("file://").replace(":", ""))

    @property
    def folder(self) -> str:
        """The relative path that its pictures stand under."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


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

    What is excluded, by its path within the shard's folder, is neither fetched nor told. Raises
    ImageError where the shard itself cannot be read, or not any further.
    """
    pictures = _of_tar if shard.kind == TAR else _of_list
    try:
        yield from pictures(shard, exclusions or Exclusions())
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise ImageError(
            "damaged", f"it cannot be read any further ({first_line(error)})"
        ) from error
    except Exception as error:  # File systems raise many kinds.
        raise ImageError("unreadable", f"it cannot be fetched ({first_line(error)})") from error


def path_in(shard: Shard, name: str) -> str:
    """The path within the shard's folder: of a list, the address without its scheme."""
    return relative_path(name.split("://", 1)[-1] if shard.kind == LIST else name)


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
        try:
            for member in tar:
                if not member.isfile():
                    continue
                own, suffix = _key_of(member.name)
                if own != key:
                    yield from _sample(shard, key, parts, exclusions)
                    key, parts = own, {}
                if member.size <= _MAX_PICTURE_BYTES:
                    content = tar.extractfile(member)
                    parts[suffix] = content.read() if content is not None else b""
                elif _is_picture(shard, member.name, exclusions):
                    yield ShardPicture(member.name, b"", NO_METADATA, _too_large())
        except Exception:
            # What was read of the last picture before the end may well be all of it.
            yield from _sample(shard, key, parts, exclusions)
            raise
        yield from _sample(shard, key, parts, exclusions)


def _sample(
    shard: Shard, key: str, parts: dict[str, bytes], exclusions: Exclusions
) -> Iterator[ShardPicture]:
    for suffix, data in parts.items():
        name = f"{key}.{suffix}"
        if _is_picture(shard, name, exclusions):
            yield ShardPicture(name, data, _facts(parts))


def _key_of(name: str) -> tuple[str, str]:
    """The key that a picture shares with what stands beside it, and the suffix, in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    return folder + slash + stem, suffix.lower()


def _is_picture(shard: Shard, name: str, exclusions: Exclusions) -> bool:
    return f".{_key_of(name)[1]}" in SUFFIXES and not exclusions.decide(
        path_in(shard, name), is_folder=False
    )


def _too_large() -> ImageError:
    return ImageError("too-large", f"it is larger than {_MAX_PICTURE_BYTES >> 20} MiB")


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

    with fsspec.open(shard.url, "rb") as opened, pq.ParquetFile(opened) as table:
        names = table.schema_arrow.names
        told_by = next((name for name in _CAPTION_COLUMNS if name in names), None)
        rows = list(_rows(table, shard, ["url", *([told_by] if told_by else [])]))
    for row in rows:
        url = row["url"]
        if exclusions.decide(path_in(shard, str(url)), is_folder=False):
            continue
        metadata = metadata_of({"url": url, "caption": row[told_by] if told_by else None})
        data, failure = b"", None
        try:
            with fsspec.open(url, "rb") as file:
                data = file.read(_MAX_PICTURE_BYTES + 1)
            if len(data) > _MAX_PICTURE_BYTES:
                data, failure = b"", _too_large()
        except Exception as error:  # File systems raise many kinds; each is of one picture.
            failure = ImageError("unreadable", f"it cannot be fetched ({first_line(error)})")
        yield ShardPicture(str(url), data, metadata, failure)


def _rows(table: Any, shard: Shard, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The shard's rows of a parquet file, of which no more is read than the groups they lie in."""
    first = 0
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        begin, end = max(shard.begin - first, 0), min(shard.end - first, count)
        if begin < end:
            yield from table.read_row_group(group, columns).slice(begin, end - begin).to_pylist()
        first += count
