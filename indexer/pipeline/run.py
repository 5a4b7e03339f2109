"""One indexing run, from folders to rows, vectors and the index file, on one screen.

scan → compare with the catalogue → read and decode → encode → one transaction a batch → forget
what is gone → bring the index file up to date.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from indexer.maintenance.patch_tokens import restore_tokens
from indexer.pipeline.choices import VectorChoices
from indexer.pipeline.encode import EncodingBackend, LocalEncoding
from indexer.pipeline.exclude import check_patterns
from indexer.pipeline.offline import Mounts
from indexer.pipeline.read import Loader
from indexer.pipeline.removed import exclusions_of, left_removed
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.survey import Survey, is_away, survey
from indexer.pipeline.targets import Target, require_there, resolve_targets
from indexer.pipeline.videos import VideoIntake
from indexer.pipeline.work import OwnWork, SharedWork, Work
from indexer.pipeline.write import BatchWriter, batches
from indexer.report import IndexReport, Progress, SilentProgress
from retrieval.arguments import check_paths
from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder
from retrieval.images.decoder_pool import DecoderPool
from retrieval.index import Index
from retrieval.media.base import VIDEO, kind_of
from retrieval.paths import absolute
from retrieval.storage.index_dir import resolve_index_dir

BATCH_SIZE = 32


def index_folders(
    paths: Sequence[str | os.PathLike[str]],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    precision: str = "auto",
    encoder: Encoder | None = None,
    backend: EncodingBackend | None = None,
    vector_index: str | None = None,
    catalog: str | None = None,
    vector_store: str | None = None,
    exclude: Sequence[str] = (),
    take_back: Sequence[str | os.PathLike[str]] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> IndexReport:
    """Index all pictures below the paths, and forget those that are gone from there.

    `model` names the encoder of a new index; an index that exists keeps its own. `precision` is
    `fp32`, `int8` or `auto`, see `load_encoder`; an index may hold vectors of both. `encoder` is
    for an encoder object of one's own, `backend` for encoding elsewhere than in this process, with
    that same encoder. `vector_index`, one of `kinds.CHOICES`, is
    kept in the index; `vector_store`, `faiss` or a database's address, is as well, less its
    password. Without them an index keeps what was chosen before. `catalog` is the address of
    a catalogue on a server, see `docs/how-to/postgresql.md`; the index folder remembers it, without
    its password. `exclude` are patterns, as
    lines of an ignore file in each root that has the last word; they hold for this run, in which
    what they name is taken for gone. What `remove_folder` removed stays out, save where it is
    itself one of `take_back`, which is `paths` unless it is given. Interrupted by Ctrl-C, or
    between two batches once `stop` is set, it keeps what was committed, brings the index file up to
    date and returns a summary that says so.

    Raises MmsearchError where a path is not there or inside of what stays removed, `vector_index`
    is no kind or a pattern is none, VectorStoreError where `vector_store` is not to be reached,
    EncoderMismatchError where the index was made with another
    model, IndexBusyError where another process writes to it, CatalogError where the catalogue is
    damaged, StorageError where the disk is full or fails.
    """
    check_paths(paths)
    check_paths(() if take_back is None else take_back)
    check_patterns(exclude)
    started = time.monotonic()
    location = resolve_index_dir(index_dir)
    choices = VectorChoices.checked(vector_index, vector_store)
    if not location.has_catalog:
        # Before anything is made: a mistyped path must not leave an empty index behind.
        for path in paths:
            require_there(absolute(path))
    writing = Index.writing(
        location.folder,
        create=True,
        model=model,
        precision=precision,
        encoder=encoder,
        catalog=catalog,
        shared=True,
    )
    with writing as index, warnings.catch_warnings():
        # Pillow warns of oddities in files that it reads all the same.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        choices.keep(index.catalog)
        removed = left_removed(index.catalog.removed(), paths if take_back is None else take_back)
        targets = resolve_targets(index.catalog, paths)
        _keep_removed(index.catalog, removed)
        run = _Run(index, backend, exclude, progress or SilentProgress(), stop)
        run.index(targets)
        run.summary.elapsed_s = time.monotonic() - started
        return run.summary


class _Run:
    """What one run shares between its steps."""

    def __init__(
        self,
        index: Index,
        backend: EncodingBackend | None,
        exclude: Sequence[str],
        progress: Progress,
        stop: threading.Event | None,
    ) -> None:
        self._index = index
        self._catalog = index.catalog
        self._backend = backend or LocalEncoding(index.encoder)
        self._exclude = exclude
        self._progress = progress
        self._stop = stop or threading.Event()
        self._decoders = DecoderPool()
        self._disks = Mounts(index.catalog)
        self._elsewhere = frozenset(index.catalog.elsewhere())
        self.summary = IndexReport()

    def index(self, targets: Sequence[Target]) -> None:
        """Bring the catalogue in line with what is on disk, then the index file with it."""
        try:
            work = [self._examine(target) for target in targets if self._is_there(target)]
            to_read = sum(len(seen.differences.to_read) for seen in work)
            if to_read:
                if self._catalog.encoder is None:
                    # A model that is not to be had is told before any file is read for it.
                    _ = self._index.encoder.preprocessing
                self._decoders.start()
            self._progress.start(to_read)
            moved_ids: set[int] = set()
            for seen in work:
                moved_ids |= self._take_in(seen)
            # At the very end: what is gone from one folder may have turned up in a later one.
            for seen in work:
                self._forget(seen, moved_ids)
            self._restore_tokens([seen.target.path for seen in work])
        except KeyboardInterrupt:
            self.summary.interrupted = True
        finally:
            self._decoders.close()
            self._progress.finish()
        self._index.refresh_vectors()

    def _is_there(self, target: Target) -> bool:
        if not is_away(target):
            return True
        if target.root.path not in self._elsewhere:
            self.summary.absent_roots.append(target.root.path)
        return False

    def _examine(self, target: Target) -> Survey:
        queue = self._catalog.work_queue(target.root.id, target.below)
        if queue is not None:
            queue.forget_unclaimed()
        known = self._catalog.known_files(target.root.id, target.below)
        exclusions = exclusions_of(target.root, self._exclude, self._catalog.removed())
        is_elsewhere = target.root.path in self._elsewhere
        seen = survey(target, known, exclusions, self._disks, is_elsewhere=is_elsewhere)
        self.summary.absent_roots += seen.absent
        if seen.is_there:
            self._disks.note(target, seen.disks)
        return seen

    def _take_in(self, seen: Survey) -> set[int]:
        """Read and write what is new; returns the files that have moved."""
        target, differences = seen.target, seen.differences
        self.summary.unchanged += differences.unchanged
        self.summary.failed += differences.still_failing
        self._note_scan_failures(seen)
        loader = Loader(
            target.root.path,
            lambda content: self._catalog.files_with_content([content]).get(content, ()),
            lambda: self._index.encoder.preprocessing,
            self._decoders,
        )
        with closing(self._work(target, differences.to_read)) as work:
            writer = BatchWriter(
                self._index,
                target.root,
                differences.known,
                loader.load_again,
                self._disks,
                self.summary,
                work,
            )
            videos = VideoIntake(
                self._index,
                target.root,
                differences.known,
                self._backend,
                writer,
                self._decoders,
                self._stop,
            )
            for files in work.rounds():
                self._read(files, loader, writer, videos, work)
        return writer.moved_ids

    def _work(self, target: Target, files: Sequence[ScannedFile]) -> Work:
        queue = self._catalog.work_queue(target.root.id, target.below)
        return OwnWork(files) if queue is None else SharedWork(queue, files, self._stop)

    def _read(
        self,
        files: Iterable[ScannedFile],
        loader: Loader,
        writer: BatchWriter,
        videos: VideoIntake,
        work: Work,
    ) -> None:
        """Pictures, batch by batch, and then the videos among the files."""
        later: list[ScannedFile] = []

        def pictures() -> Iterator[ScannedFile]:
            for file in files:
                if kind_of(file.path) == VIDEO:
                    later.append(file)
                else:
                    yield file

        for batch in self._backend.encode(batches(loader.load(pictures()), BATCH_SIZE)):
            if self._stop.is_set():
                raise KeyboardInterrupt
            writer.write(batch)
            self._progress.advance(len(batch.files))
        for file in later:
            if self._stop.is_set():
                raise KeyboardInterrupt
            videos.take(file)
            if work.is_shared:
                with self._catalog.transaction() as change:
                    work.finish(change, [file.path])
            self._progress.advance(1)

    def _note_scan_failures(self, seen: Survey) -> None:
        known = seen.differences.known
        self.summary.failed += len(seen.failures)
        fresh = {
            path: failure
            for path, failure in seen.failures.items()
            if path not in known or known[path].failure_kind != failure.kind
        }
        if not fresh:
            return
        with self._catalog.transaction() as change:
            for path, failure in fresh.items():
                change.record_failure(
                    seen.target.root.id,
                    path,
                    size_bytes=0,
                    mtime_ns=0,
                    kind=failure.kind,
                    reason=failure.reason,
                )

    def _forget(self, seen: Survey, moved_ids: set[int]) -> None:
        target, differences = seen.target, seen.differences
        lost = {id_: path for path, id_ in differences.vanished.items() if id_ not in moved_ids}
        gone = self._still_gone(target, lost)
        if not gone and not differences.mended:
            return
        with self._catalog.transaction() as change:
            if self._catalog.is_on_server:
                # Others may have moved some a moment ago; now they have to wait.
                gone = self._still_gone(target, lost)
            item_ids = change.remove_files(gone)
            change.forget_failures(target.root.id, differences.mended)
        if gone:
            self._index.patch_tokens.remove(item_ids)
        self.summary.removed += len(gone)

    def _still_gone(self, target: Target, lost: Mapping[int, str]) -> list[int]:
        """Those of the files that are still known under the paths where they are not.

        What moved, in another folder of this run or in another process, is not.
        """
        present = self._catalog.file_paths(list(lost))
        return [
            id_
            for id_, path in lost.items()
            if id_ in present and present[id_] == target.root.path / path
        ]

    def _restore_tokens(self, folders: Sequence[Path]) -> None:
        # On a server they are written with their rows.
        if self._catalog.has_patch_tokens and not self._catalog.is_on_server:
            restore_tokens(
                self._catalog,
                self._index.patch_tokens,
                folders,
                lambda: self._index.encoder.loaded,
                self._stop,
            )


def _keep_removed(catalog: Catalog, removed: list[Path]) -> None:
    if removed != catalog.removed():
        with catalog.transaction() as change:
            change.set_removed(removed)
