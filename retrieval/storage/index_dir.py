"""Where an index lives on disk, and the names of the files in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from retrieval.paths import expanded
from retrieval.storage.catalog_url import CatalogUrl, read_catalog_url

INDEX_DIR_VARIABLE = "MMSEARCH_INDEX_DIR"
CACHE_DIR_VARIABLE = "MMSEARCH_CACHE_DIR"


@dataclass(frozen=True)
class IndexDir:
    """The folder of one index. The catalogue is the truth; every other file can be made again."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """The SQLite catalogue: picture rows, vectors, failures."""
        return self.folder / "catalog.sqlite"

    @property
    def catalog_url(self) -> Path:
        """What says where the catalogue is, where that is on a server."""
        return self.folder / "catalog.url"

    @property
    def address(self) -> Path | CatalogUrl:
        """Where the catalogue is: the SQLite file, unless the folder remembers a server."""
        return read_catalog_url(self.catalog_url) or self.catalog

    @property
    def has_catalog(self) -> bool:
        """Whether an index was begun here."""
        return self.catalog.exists() or self.catalog_url.exists()

    @property
    def tokens(self) -> Path:
        """The cache of patch tokens for the reranker."""
        return self.folder / "tokens.sqlite"

    @property
    def next_tokens(self) -> Path:
        """The patch tokens of the encoder that the index is moving to."""
        return self.folder / "tokens.next.sqlite"

    @property
    def pictures(self) -> Path:
        """The pictures that were added from memory, as files."""
        return self.folder / "pictures"

    @property
    def lock(self) -> Path:
        """The lock that the one writer holds."""
        return self.folder / "writer.lock"


def resolve_index_dir(index_dir: str | os.PathLike[str] | None = None) -> IndexDir:
    """The index at `index_dir`, else at $MMSEARCH_INDEX_DIR, else in the user's data folder."""
    chosen = index_dir or os.environ.get(INDEX_DIR_VARIABLE)
    folder = Path(chosen) if chosen else user_data_path("mmsearch", appauthor=False) / "index"
    return IndexDir(expanded(folder).absolute())


def model_cache_dir() -> Path:
    """Where exported models are kept: in $MMSEARCH_CACHE_DIR, else in the user's cache folder.

    Safe to delete.
    """
    chosen = os.environ.get(CACHE_DIR_VARIABLE)
    folder = Path(chosen) if chosen else user_cache_path("mmsearch", appauthor=False)
    return expanded(folder).absolute() / "models"
