"""The rows of the catalogue as they cross its seam: frozen, typed, with units."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from retrieval.images.facts import NO_METADATA, ImageMetadata

# Of the BLAKE2b hash of a file's bytes, by which contents are told apart.
CONTENT_HASH_BYTES = 16


def unfinished_hash(content_hash: bytes) -> bytes:
    """The hash that a long file has in the catalogue while only its beginning is indexed.

    No file has it, so that no copy is taken to be complete; whoever reads the file on knows it.
    """
    return hashlib.blake2b(
        content_hash, digest_size=CONTENT_HASH_BYTES, person=b"unfinished"
    ).digest()


def is_of_content(kept: bytes, content_hash: bytes) -> bool:
    """Whether a hash in the catalogue is that of a content, all of it or its beginning indexed."""
    return kept in (content_hash, unfinished_hash(content_hash))


@dataclass(frozen=True)
class Root:
    """A folder that was given to the indexer; files are stored relative to it."""

    id: int
    path: Path


class KnownFile(NamedTuple):
    """What the catalogue remembers of a file, enough to tell whether it changed.

    `file_id` is None for a file that was never indexed; `failure_kind` says how reading it failed
    last, and is None where it did not. One that was indexed before it became unreadable has both.
    `lacks_facts`: reading the file again would tell what is not known of it.
    """

    size_bytes: int
    mtime_ns: int
    file_id: int | None
    failure_kind: str | None = None
    lacks_facts: bool = False


@dataclass(frozen=True)
class StoredFile:
    """An indexed file as it was read. `path` is relative to the root, with /.

    `item_ids` are its items in their order within the file.
    """

    file_id: int
    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: bytes
    item_ids: tuple[int, ...]


@dataclass(frozen=True)
class FileFacts:
    """What is stored of a file. `path` is relative to the root; `content_hash` has 16 bytes."""

    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: bytes
    media_kind: str = "image"


@dataclass(frozen=True)
class ItemFacts:
    """What is stored of an item besides its vector. `time_ms` is its time within a video."""

    width_px: int
    height_px: int
    metadata: ImageMetadata = NO_METADATA
    time_ms: int | None = None


class ModelCaption(NamedTuple):
    """A sentence about a picture that a model wrote, and the model's name."""

    model: str
    text: str


@dataclass(frozen=True)
class Item:
    """What a question finds: a picture, or a moment of a video, with all that is known of it.

    `captions` are those that models wrote; the file's own is among `metadata`.
    """

    id: int
    path: Path
    width_px: int
    height_px: int
    metadata: ImageMetadata = NO_METADATA
    time_ms: int | None = None
    captions: tuple[ModelCaption, ...] = ()


@dataclass(frozen=True)
class SavedSearch:
    """A question that is kept: its words and conditions, as typed, and options by their names.

    Options are as JSON takes them, paths absolute. `saved_at` is seconds since 1970.
    """

    name: str
    question: str
    options: dict[str, Any]
    saved_at: float


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed, and why. `failed_at` is seconds since 1970."""

    path: Path
    kind: str
    reason: str
    failed_at: float
