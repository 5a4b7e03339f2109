"""What the cache of patch tokens holds, looked at without changing it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TokenInventory:
    """The ids that have tokens, by whether those are as large as most are.

    `ids`: those of the usual size. `odd_ids`: the others, whose tokens no reranker can take.
    `is_damaged`: the file cannot be read. All is empty where there is no file, or where another
    encoder made what is in it.
    """

    ids: frozenset[int] = field(default_factory=frozenset)
    odd_ids: frozenset[int] = field(default_factory=frozenset)
    is_damaged: bool = False


def take_inventory(path: Path, fingerprint: str) -> TokenInventory:
    """Look at the cache at `path` of the encoder with this fingerprint."""
    if not path.exists():
        return TokenInventory()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as cache:
            if cache.execute("PRAGMA quick_check").fetchone() != ("ok",):
                return TokenInventory(is_damaged=True)
            if cache.execute("SELECT fingerprint FROM origin").fetchone() != (fingerprint,):
                return TokenInventory()
            rows = cache.execute("SELECT picture_id, patches, length(tokens) FROM tokens")
            size_of = {item_id: (patches, length) for item_id, patches, length in rows}
    except sqlite3.Error:
        return TokenInventory(is_damaged=True)
    sizes = Counter(size_of.values())
    usual = max(sizes, key=sizes.__getitem__, default=None)
    return TokenInventory(
        frozenset(id_ for id_, size in size_of.items() if size == usual),
        frozenset(id_ for id_, size in size_of.items() if size != usual),
    )
