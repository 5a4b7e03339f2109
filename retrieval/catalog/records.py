"""The rows of the catalogue as they cross its seam: frozen, typed, with units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

# Of the BLAKE2b hash of a file's bytes, by which contents are told apart.
CONTENT_HASH_BYTES = 16


@dataclass(frozen=True)
class Root:
    """A folder that was given to the indexer; pictures are stored relative to it."""

    id: int
    path: Path


class KnownFile(NamedTuple):
    """What the catalogue remembers of a file, enough to tell whether it changed.

    `picture_id` is None for a file that was never indexed; `failure_kind` says how reading it
    failed last, and is None where it did not. A picture that was indexed before its file became
    unreadable has both. `lacks_facts`: reading the file again would tell what is not known of it.
    """

    size_bytes: int
    mtime_ns: int
    item_id: int | None
    failure_kind: str | None = None
    lacks_facts: bool = False


@dataclass(frozen=True)
class StoredFile:
    """The file of a picture as it was read. `path` is relative to the root, with /."""

    item_id: int
    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: bytes


@dataclass(frozen=True)
class ImageFacts:
    """What is stored of a picture besides its vector. `content_hash` has 16 bytes.

    `taken_at` is what the camera's clock showed, without a time zone; None where it is not known.
    """

    size_bytes: int
    mtime_ns: int
    content_hash: bytes
    width_px: int
    height_px: int
    taken_at: datetime | None = None


@dataclass(frozen=True)
class Picture:
    """An indexed picture: where it is, how large, and when it was taken where that is known."""

    id: int
    path: Path
    width_px: int
    height_px: int
    taken_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed, and why. `failed_at` is seconds since 1970."""

    path: Path
    kind: str
    reason: str
    failed_at: float
