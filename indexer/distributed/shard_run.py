"""Tar files and lists into the index: workers fetch, decode and encode, one process writes.

A shard is noted as done in the transaction that writes the last of it, so that a run which is cut
off goes on with the others; what was written of one that was not done is written over. One that
cannot be read to its end is a failure like that of a picture, and tried again by the next run.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from indexer.distributed.cluster import (
    ClusterSettings,
    connected,
    count_workers,
    worker_error,
)
from indexer.distributed.shard_worker import EncodedPart, ShardWorker
from indexer.distributed.shards import Shard, find_shards, path_in
from indexer.pipeline.choices import VectorChoices
from indexer.pipeline.exclude import check_patterns
from indexer.report import IndexReport, Progress, SilentProgress
from retrieval.catalog import FileFacts
from retrieval.encoders.base import Encoder
from retrieval.index import Index

_FOLDER = "shards"


def index_shards(
    sources: Sequence[str],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    settings: ClusterSettings | None = None,
    model: str | None = None,
    encoder: Encoder | None = None,
    vector_index: str | None = None,
    catalog: str | None = None,
    vector_store: str | None = None,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> IndexReport:
    """Index the pictures in tar files and lists of addresses, on a Ray cluster.

    The pictures stay where they are: they are items without a file, as imported ones are. Shards
    that were done before and have not changed are passed over. A picture that cannot be fetched or
    decoded is noted as a failure. Progress counts shards. `vector_index`, `catalog` and
    `vector_store` are as `index_folders` takes them. `exclude` are patterns as well, of paths
    within a shard or, of a list, of addresses without their scheme; what they name is not fetched,
    and stays where it was indexed before.

    Raises MmsearchError where a source or the cluster cannot be used, and what `index_folders`
    raises of the index.
    """
    check_patterns(exclude)
    choices = VectorChoices.checked(vector_index, vector_store)
    started = time.monotonic()
    chosen = settings or ClusterSettings()
    shards = find_shards(sources)
    writing = Index.writing(
        index_dir,
        create=True,
        model=model,
        precision=chosen.precision,
        encoder=encoder,
        catalog=catalog,
    )
    with writing as index:
        choices.keep(index.catalog)
        run = _ShardRun(index, progress or SilentProgress(), stop or threading.Event())
        left = run.left(shards)
        if left:
            with connected(chosen) as ray:
                run.write_all(_encoded(ray, chosen, index, encoder, left, exclude), len(left))
        index.refresh_vectors()
        run.report.elapsed_s = time.monotonic() - started
        return run.report


def _encoded(
    ray: Any,
    settings: ClusterSettings,
    index: Index,
    encoder: Encoder | None,
    left: list[Shard],
    exclude: Sequence[str],
) -> Iterator[EncodedPart]:
    import ray.data as ray_data

    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    space = index.encoder.space
    workers = min(count_workers(ray, settings), len(left))
    taken = {"num_gpus": 1} if settings.device == "gpu" else {"num_cpus": 1}
    rows = ray_data.from_items(
        [{"shard": pickle.dumps(shard)} for shard in left], override_num_blocks=len(left)
    )
    parts = rows.map_batches(
        ShardWorker,
        batch_size=1,
        fn_constructor_args=(
            space.name,
            settings.precision,
            encoder,
            space.fingerprint,
            tuple(exclude),
        ),
        concurrency=workers,
        **taken,
    )
    try:
        for row in parts.iter_rows():
            yield pickle.loads(row["part"])
    except ray.exceptions.RayError as error:
        raise worker_error(error) from error


class _ShardRun:
    def __init__(self, index: Index, progress: Progress, stop: threading.Event) -> None:
        self._index = index
        self._catalog = index.catalog
        self._progress = progress
        self._stop = stop
        self.report = IndexReport()

    def left(self, shards: Sequence[Shard]) -> list[Shard]:
        """Those that are not done yet."""
        done = self._catalog.shards_done()
        return [shard for shard in shards if shard.mark not in done]

    def write_all(self, parts: Iterator[EncodedPart], shards: int) -> None:
        """Write what comes, a transaction a part."""
        self._progress.start(shards)
        try:
            for part in parts:
                self._write(part)
                self._progress.advance(int(part.is_last))
                if self._stop.is_set():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.report.interrupted = True
        finally:
            self._progress.finish()

    def _write(self, part: EncodedPart) -> None:
        base = self._index.dir.folder / _FOLDER
        shard = part.shard
        encoding = part.encoding
        # Of the same name, the last one counts.
        rows = {_path(shard, file.path): row for row, (file, _) in enumerate(part.added)}
        added = [
            (_named(part.added[row][0], path), part.added[row][1]) for path, row in rows.items()
        ]
        places = list(rows.values())
        ids: list[int] = []
        with self._catalog.transaction() as change:
            elsewhere = self._catalog.elsewhere()
            if base not in elsewhere:
                change.set_elsewhere([*elsewhere, base])
            root = change.add_root(base)
            if encoding is not None:
                change.set_encoder(self._index.encoder.space)
                if encoding.patch_tokens is not None:
                    change.note_patch_tokens()
                ids = change.add_files(root.id, added, encoding.vectors[places])
            failures = [(_path(shard, name), kind, told) for name, kind, told in part.failures]
            if part.failure is not None:
                failures.append((shard.name, part.failure.kind, part.failure.reason))
            for path, kind, reason in failures:
                change.record_failure(
                    root.id, path, size_bytes=0, mtime_ns=0, kind=kind, reason=reason
                )
            if part.is_last and part.failure is None:
                change.forget_failures(root.id, [shard.name])
                change.note_shard_done(shard.mark)
        if encoding is not None and encoding.patch_tokens is not None:
            self._index.patch_tokens.put(ids, encoding.patch_tokens[places])
        self.report.new += len(ids)
        self.report.encoded += len(part.added)
        self.report.failed += len(failures)


def _path(shard: Shard, name: str) -> str:
    """The path below the root of all shards."""
    return f"{shard.folder}/{path_in(shard, name)}"


def _named(file: FileFacts, path: str) -> FileFacts:
    return FileFacts(path, file.size_bytes, file.mtime_ns, file.content_hash)
