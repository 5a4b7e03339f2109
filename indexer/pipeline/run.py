"""One indexing run, from folders to rows, vectors and the index file, on one screen.

scan → compare with the catalogue → read and decode → encode → one transaction a batch → forget
what is gone → bring the index file up to date.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from indexer.lock import writer_lock
from indexer.maintenance.patch_tokens import restore_tokens
from indexer.pipeline.examine import Examined, examine, is_away
from indexer.pipeline.exclude import check_patterns
from indexer.pipeline.offline import Mounts
from indexer.pipeline.read import Loader
from indexer.pipeline.removed import exclusions_of, left_removed
from indexer.pipeline.targets import (
    Target,
    absolute,
    require_there,
    resolve_targets,
)
from indexer.pipeline.write import BatchWriter, batches
from indexer.report import IndexReport, Progress, SilentProgress
from retrieval.arguments import check_paths
from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder
from retrieval.encoders.identity import mismatch, require_same_identity
from retrieval.encoders.precision import check_precision
from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.images.decoder_pool import DecoderPool
from retrieval.storage.index_dir import IndexDir, resolve_index_dir
from retrieval.storage.patch_tokens import PatchTokenStore
from retrieval.vectors.faiss.kinds import AUTO, check_choice
from retrieval.vectors.faiss.store import VectorStore

BATCH_SIZE = 32


def index_folders(
    paths: Sequence[str | os.PathLike[str]],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    precision: str = "auto",
    encoder: Encoder | None = None,
    vector_index: str | None = None,
    exclude: Sequence[str] = (),
    take_back: Sequence[str | os.PathLike[str]] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> IndexReport:
    """Index all pictures below the paths, and forget those that are gone from there.

    `model` names the encoder of a new index; an index that exists keeps its own. `precision` is
    `fp32`, `int8` or `auto`, see `load_encoder`; an index may hold vectors of both. `encoder` is
    for an encoder object of one's own. `vector_index`, one of `kinds.CHOICES`, is
    kept in the index; without it an index keeps what was chosen before. `exclude` are patterns, as
    lines of an ignore file in each root that has the last word; they hold for this run, in which
    what they name is taken for gone. What `remove_folder` removed stays out, save where it is
    itself one of `take_back`, which is `paths` unless it is given. Interrupted by Ctrl-C, or
    between two batches once `stop` is set, it keeps what was committed, brings the index file up to
    date and returns a summary that says so.

    Raises MmsearchError where a path is not there or inside of what stays removed, `vector_index`
    is no kind or a pattern is none, EncoderMismatchError where the index was made with another
    model, IndexBusyError where another process writes to it, CatalogError where the catalogue is
    damaged, StorageError where the disk is full or fails.
    """
    check_paths(paths)
    check_paths(() if take_back is None else take_back)
    check_patterns(exclude)
    started = time.monotonic()
    location = resolve_index_dir(index_dir)
    if vector_index is not None:
        check_choice(vector_index)
    if not location.catalog.exists():
        # Before anything is made: a mistyped path must not leave an empty index behind.
        for path in paths:
            require_there(absolute(path))
    with (
        writer_lock(location) as lock,
        Catalog.create(location.catalog) as catalog,
        warnings.catch_warnings(),
    ):
        # Pillow warns of oddities in files that it reads all the same.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        if lock.was_cut_off:
            catalog.require_sound()
        choice = EncoderChoice(catalog, model, precision, encoder)
        if vector_index is not None:
            _choose_vector_index(catalog, vector_index)
        removed = left_removed(catalog.removed(), paths if take_back is None else take_back)
        targets = resolve_targets(catalog, paths)
        _keep_removed(catalog, removed)
        run = _Run(catalog, location, choice, exclude, progress or SilentProgress(), stop)
        run.index(targets)
        run.summary.elapsed_s = time.monotonic() - started
        return run.summary


class EncoderChoice:
    """The encoder of the index, loaded when it is first needed and not before."""

    def __init__(
        self, catalog: Catalog, model: str | None, precision: str, encoder: Encoder | None
    ) -> None:
        self._made_by = catalog.encoder
        self._precision = check_precision(precision)
        self._given = encoder
        self._loading = threading.Lock()
        self._loaded: Encoder | None = None
        own = self._made_by.name if self._made_by else None
        self._name = (encoder.identity.name if encoder else model) or own or DEFAULT_MODEL
        if self._made_by is not None and self._name != own:
            raise mismatch(self._made_by, self._name)

    @property
    def encoder(self) -> Encoder:
        """The encoder; raises EncoderMismatchError where it is not the index's own."""
        # The threads that decode ask for it at the same time.
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Encoder:
        chosen = self._given or load_encoder(self._name, self._precision)
        if self._made_by is not None:
            require_same_identity(self._made_by, chosen.identity)
        return chosen


class _Run:
    """What one run shares between its steps."""

    def __init__(
        self,
        catalog: Catalog,
        location: IndexDir,
        choice: EncoderChoice,
        exclude: Sequence[str],
        progress: Progress,
        stop: threading.Event | None,
    ) -> None:
        self._catalog = catalog
        self._location = location
        self._choice = choice
        self._exclude = exclude
        self._progress = progress
        self._stop = stop or threading.Event()
        self._tokens: PatchTokenStore | None = None
        self._decoders = DecoderPool()
        self._disks = Mounts(catalog)
        self.summary = IndexReport()

    def index(self, targets: Sequence[Target]) -> None:
        """Bring the catalogue in line with what is on disk, then the index file with it."""
        try:
            work = [self._examine(target) for target in targets if self._is_there(target)]
            to_read = sum(len(seen.differences.to_read) for seen in work)
            if to_read:
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
            if self._tokens is not None:
                self._tokens.close()
        self._refresh_vectors()

    def _is_there(self, target: Target) -> bool:
        if not is_away(target):
            return True
        self.summary.absent_roots.append(target.root.path)
        return False

    def _examine(self, target: Target) -> Examined:
        known = self._catalog.known_files(target.root.id, target.below)
        exclusions = exclusions_of(target.root, self._exclude, self._catalog.removed())
        seen = examine(target, known, exclusions, self._disks)
        self.summary.absent_roots += seen.absent
        if seen.is_there:
            self._disks.note(target, seen.found)
        return seen

    def _take_in(self, seen: Examined) -> set[int]:
        """Read and write what is new; returns the files that have moved."""
        target, differences = seen.target, seen.differences
        self.summary.unchanged += differences.unchanged
        self.summary.failed += differences.still_failing
        self._note_scan_failures(seen)
        loader = Loader(
            target.root.path,
            lambda content: self._catalog.files_with_content([content]).get(content, ()),
            lambda: self._choice.encoder.preprocessing,
            self._decoders,
        )
        writer = BatchWriter(
            self._catalog,
            target.root,
            seen.known,
            loader.load_again,
            lambda: self._choice.encoder,
            self._open_tokens,
            self._disks,
            self.summary,
        )
        for batch in batches(loader.load(differences.to_read), BATCH_SIZE):
            if self._stop.is_set():
                raise KeyboardInterrupt
            writer.write(batch)
            self._progress.advance(len(batch))
        return writer.moved_ids

    def _note_scan_failures(self, seen: Examined) -> None:
        known = seen.known
        self.summary.failed += len(seen.found.failures)
        fresh = {
            path: failure
            for path, failure in seen.found.failures.items()
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

    def _forget(self, seen: Examined, moved_ids: set[int]) -> None:
        target, differences = seen.target, seen.differences
        lost = {id_: path for path, id_ in differences.vanished.items() if id_ not in moved_ids}
        # Those that moved in another folder of this run stand under another path by now.
        present = self._catalog.file_paths(list(lost))
        gone = [
            id_
            for id_, path in lost.items()
            if id_ in present and present[id_] == target.root.path / path
        ]
        if not gone and not differences.mended:
            return
        with self._catalog.transaction() as change:
            item_ids = change.remove_files(gone)
            change.forget_failures(target.root.id, differences.mended)
        if gone:
            self._open_tokens().remove(item_ids)
        self.summary.removed += len(gone)

    def _restore_tokens(self, folders: Sequence[Path]) -> None:
        if self._catalog.has_patch_tokens:
            restore_tokens(
                self._catalog,
                self._open_tokens(),
                folders,
                lambda: self._choice.encoder,
                self._stop,
            )

    def _open_tokens(self) -> PatchTokenStore:
        if self._tokens is None:
            encoder = self._catalog.encoder or self._choice.encoder.identity
            self._tokens = PatchTokenStore.open(self._location.tokens, encoder.fingerprint)
        return self._tokens

    def _refresh_vectors(self) -> None:
        store = VectorStore(self._location.folder)
        manifest = store.manifest()
        # Asked here, so that a run that changes nothing does not load FAISS to find that out.
        if manifest is None or manifest.generation != self._catalog.generation:
            store.refresh(self._catalog)


def _keep_removed(catalog: Catalog, removed: list[Path]) -> None:
    if removed != catalog.removed():
        with catalog.transaction() as change:
            change.set_removed(removed)


def _choose_vector_index(catalog: Catalog, choice: str) -> None:
    if choice != (catalog.vector_index_choice or AUTO):
        with catalog.transaction() as change:
            change.set_vector_index_choice(choice)
