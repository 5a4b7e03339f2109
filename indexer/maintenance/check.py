"""Whether an index is whole: the catalogue in itself, and against vectors, tokens and files.

Looks and changes nothing; `indexer.maintenance.fix` puts right what can be put right.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.maintenance.check_files import FileCheck, check_files
from indexer.maintenance.findings import Finding, in_words
from indexer.report import Progress, SilentProgress
from retrieval.catalog import Catalog, CatalogDefects
from retrieval.encoders.base import Encoder
from retrieval.encoders.bound import BoundEncoder
from retrieval.errors import EncoderMismatchError, UnknownModelError
from retrieval.index import Index
from retrieval.storage.patch_token_inventory import TokenInventory
from retrieval.vectors.base import IndexDefects


@dataclass
class Examination:
    """What a look at every part of an index saw, by picture ids.

    `orphan_tokens` belong to no picture. `without_tokens` are pictures that have none although
    their encoder makes some.
    """

    catalog: CatalogDefects
    copy: IndexDefects = field(default_factory=IndexDefects)
    files: FileCheck = field(default_factory=FileCheck)
    tokens: TokenInventory = field(default_factory=TokenInventory)
    orphan_tokens: frozenset[int] = frozenset()
    without_tokens: frozenset[int] = frozenset()


@dataclass(frozen=True)
class CheckReport:
    """What differs, in words; nothing where all is well.

    `absent_roots` are folders that are not there just now: their pictures' files were not looked
    at, which is no difference.
    """

    images: int
    findings: tuple[Finding, ...]
    absent_roots: tuple[Path, ...]


def check_index(
    index_dir: str | os.PathLike[str] | None = None,
    *,
    with_content: bool = False,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare catalogue, vectors, patch tokens, vector index and files; changes nothing.

    `with_content` reads every file again to compare what is in it. `encoder` is for an encoder
    object of one's own. Raises IndexMissingError where there is no index, IndexBusyError while
    another process writes to it, CatalogError where the catalogue cannot be opened.
    """
    with Index.writing(index_dir, keep_format=True, encoder=encoder) as index:
        seen = examine(index, with_content=with_content, progress=progress or SilentProgress())
        return report(index.catalog, seen)


def examine(index: Index, *, with_content: bool, progress: Progress) -> Examination:
    """Look at every part of an index; for the process that writes to it."""
    catalog = index.catalog
    seen = Examination(catalog.find_defects())
    if seen.catalog.damage:
        return seen
    seen.copy = index.vectors.defects(catalog)
    seen.files = check_files(catalog, progress, with_content=with_content)
    made_by = catalog.encoder
    if made_by is not None:
        ids = frozenset(catalog.item_ids().tolist())
        seen.tokens = index.token_inventory(made_by.fingerprint)
        held = seen.tokens.ids | seen.tokens.odd_ids
        seen.orphan_tokens = held - ids
        bare = ids - held
        if bare and (seen.tokens.ids or _makes_tokens(index.encoder)):
            seen.without_tokens = bare
    return seen


def report(catalog: Catalog, seen: Examination) -> CheckReport:
    """What was seen, in words."""
    images = 0 if seen.catalog.damage else catalog.count_items()
    return CheckReport(images, tuple(in_words(catalog, seen)), tuple(seen.files.absent_roots))


def _makes_tokens(encoder: BoundEncoder) -> bool:
    """Whether the encoder makes patch tokens; asked of it with a grey picture."""
    try:
        size = encoder.preprocessing.size_px
    except (EncoderMismatchError, UnknownModelError):
        # Without the model that made the index nobody can rerank with its tokens either.
        return False
    return (
        encoder.encode_images(np.full((1, size, size, 3), 128, np.uint8)).patch_tokens is not None
    )
