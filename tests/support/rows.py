"""Rows for a catalogue, for tests that need pictures in it and no files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.facts import ImageMetadata
from retrieval.storage.catalog_url import CatalogUrl


def bound_catalog(where: Path | CatalogUrl, dim: int = 4) -> Catalog:
    """A new catalogue that is bound to an encoder of so many dimensions."""
    catalog = Catalog.create(where)
    with catalog.transaction() as change:
        change.set_encoder(EmbeddingSpace("test", dim, "f" * 32))
    return catalog


def picture(
    path: str,
    content: int = 0,
    width_px: int = 30,
    height_px: int = 40,
    taken_at: datetime | None = None,
    metadata: ImageMetadata | None = None,
) -> tuple[FileFacts, list[ItemFacts]]:
    """A file of one item, as `WriteTransaction.add_files` takes it."""
    facts = metadata or ImageMetadata(taken_at=taken_at)
    return (
        FileFacts(path, 10, 20, content.to_bytes(16, "big")),
        [ItemFacts(width_px, height_px, facts)],
    )


def pictures(paths: Sequence[str]) -> list[tuple[FileFacts, list[ItemFacts]]]:
    """Files of one item each, with the contents 0, 1, 2 and so on."""
    return [picture(path, number) for number, path in enumerate(paths)]
