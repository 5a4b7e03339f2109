"""The engine that a command asks: one of its own, or that of the session that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from retrieval.search.engine import SearchEngine

# Keys of a context's `meta`: the session's engine, and a list that takes the paths of answers.
_META_KEY = "mmsearch.engine"
FOUND = "mmsearch.found"


@contextmanager
def opened_engine(ctx: click.Context) -> Iterator[SearchEngine]:
    """An engine for the length of the block; raises what `SearchEngine.open` raises."""
    kept: SearchEngine | None = ctx.meta.get(_META_KEY)
    if kept is not None:
        yield kept
        return
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(ctx.obj) as engine:
        yield engine


@contextmanager
def kept_engine(ctx: click.Context) -> Iterator[SearchEngine]:
    """An engine that all commands within the block use."""
    with opened_engine(ctx) as engine:
        ctx.meta[_META_KEY] = engine
        try:
            yield engine
        finally:
            del ctx.meta[_META_KEY]
