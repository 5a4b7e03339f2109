"""Indexing on a Ray cluster, as the command line asks for it: folders, tar files and lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from indexer import IndexReport


def run_distributed(
    sources: Sequence[str],
    index_dir: str | None,
    *,
    address: str,
    workers: int | None,
    device: Literal["cpu", "gpu"],
    precision: str,
    **options: Any,
) -> IndexReport:
    """Index all sources, first folders and then shards; one report of both.

    `options` are those that `index_distributed` and `index_shards` both take.
    """
    from indexer import IndexReport, index_distributed, index_shards
    from indexer.distributed.cluster import ClusterSettings
    from indexer.distributed.shards import is_sharded

    settings = ClusterSettings(address, workers, device, precision)
    shards = [source for source in sources if is_sharded(source)]
    folders = [source for source in sources if source not in shards]
    done = IndexReport()
    if folders:
        done = index_distributed(folders, index_dir, settings=settings, **options)
    if shards and not done.interrupted:
        _add(done, index_shards(shards, index_dir, settings=settings, **options))
    return done


def _add(done: IndexReport, more: IndexReport) -> None:
    for count in fields(done):
        mine, theirs = getattr(done, count.name), getattr(more, count.name)
        both = mine or theirs if isinstance(mine, bool) else mine + theirs
        setattr(done, count.name, both)
