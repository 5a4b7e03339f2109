"""The engine that a command asks: one of its own, or that of the session that it runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from retrieval.search.engine import SearchEngine
    from web.client.client import Client

T = TypeVar("T")

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
    with _own_engine(ctx) as engine:
        yield engine


def ask_engine(
    ctx: click.Context, ask: Callable[[SearchEngine | Client], T], *, may_be_remote: bool
) -> T:
    """What `ask` gets of an engine; a server of the index that runs on this machine is one.

    It answers the same, and need not load a model first. What it does not take, as a question of
    more letters than it allows to anyone, is asked again of an engine of our own.
    """
    client = _running_client(ctx) if may_be_remote else None
    if client is not None:
        with client, suppress(ValueError):
            return ask(client)
    with opened_engine(ctx) as engine:
        return ask(engine)


def _running_client(ctx: click.Context) -> Client | None:
    if ctx.meta.get(_META_KEY) is not None or not _can_be_served():
        return None
    from retrieval.storage.index_dir import resolve_index_dir
    from web.client.running import running_client

    return running_client(resolve_index_dir(ctx.obj))


def _can_be_served() -> bool:
    """Whether the packages of a server are there; without them there is none to look for."""
    return find_spec("fastapi") is not None


@contextmanager
def _own_engine(ctx: click.Context) -> Iterator[SearchEngine]:
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
