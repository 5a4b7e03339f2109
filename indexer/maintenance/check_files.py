"""Whether the files of the indexed pictures are as they were read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from indexer.pipeline.targets import is_populated
from indexer.report import Progress
from retrieval.catalog import Catalog, StoredFile
from retrieval.catalog.records import CONTENT_HASH_BYTES, is_of_content

_BLOCK_BYTES = 2**20


@dataclass
class FileCheck:
    """Ids of items by what is with their files.

    `missing`: no longer there. `changed`: another size or time of modification. `altered`: both
    the same, and the content another; looked at on request only. `unreadable`: it cannot be told.
    `absent_roots`: folders that are not there just now, whose pictures were not looked at.
    """

    missing: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    absent_roots: list[Path] = field(default_factory=list)


def check_files(catalog: Catalog, progress: Progress, *, with_content: bool) -> FileCheck:
    """Look at every picture's file; `with_content` reads those that look unchanged, too."""
    found = FileCheck()
    elsewhere = set(catalog.elsewhere())
    progress.start(catalog.count_items())
    try:
        for root in catalog.roots():
            stored = catalog.stored_files(root.id)
            if stored and not is_populated(root):
                if root.path not in elsewhere:
                    found.absent_roots.append(root.path)
                progress.advance(sum(len(file.item_ids) for file in stored))
                continue
            for file in stored:
                _look_at(root.path / file.path, file, found, with_content)
                progress.advance(len(file.item_ids))
            if root.path in elsewhere:
                here = {id_ for file in stored for id_ in file.item_ids}
                found.missing = [id_ for id_ in found.missing if id_ not in here]
    finally:
        progress.finish()
    return found


def _look_at(path: Path, file: StoredFile, found: FileCheck, with_content: bool) -> None:
    try:
        facts = path.stat()
        if (facts.st_size, facts.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            found.changed.extend(file.item_ids)
        elif with_content and not is_of_content(file.content_hash, content_hash(path)):
            found.altered.extend(file.item_ids)
    except (FileNotFoundError, NotADirectoryError):
        found.missing.extend(file.item_ids)
    except OSError:
        found.unreadable.extend(file.item_ids)


def content_hash(path: Path) -> bytes:
    """As `indexer.pipeline.read` makes it, without holding the file in memory."""
    digest = hashlib.blake2b(digest_size=CONTENT_HASH_BYTES)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()
