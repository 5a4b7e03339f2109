"""One batch of encoded files, and what of it goes into the catalogue.

A batch is one transaction: after a crash either all of it is there or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from indexer.pipeline.encode import EncodedBatch, encode_batch
from indexer.pipeline.offline import Mounts
from indexer.pipeline.read import LoadedFile
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.targets import is_populated
from indexer.pipeline.work import OwnWork, Work
from indexer.report import IndexReport
from retrieval.catalog import (
    FileFacts,
    ItemFacts,
    KnownFile,
    Root,
    WriteTransaction,
)
from retrieval.encoders.base import ImageEncoding
from retrieval.errors import ImageError
from retrieval.index import Index
from retrieval.media.base import kind_of

# Failures after which a picture that was indexed before is kept: its content may be as it was.
KEPT_FAILURES = frozenset({"unreadable", "vanished", "unsupported"})


T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, `size` at a time, in order."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True)
class _Plan:
    """A batch as it is to be written; `outdated` are ids of items that have another content now."""

    settled: list[LoadedFile]
    decoded: list[LoadedFile]
    encoding: ImageEncoding | None
    outdated: set[int]


class BatchWriter:
    """Writes batches of one root. Counts what it does in the summary.

    `load_again` decodes a file whose content is no longer in the catalogue when its turn comes.
    `work` says which files are still ours to write; without it all are.
    """

    def __init__(
        self,
        index: Index,
        root: Root,
        known: Mapping[str, KnownFile],
        load_again: Callable[[ScannedFile], LoadedFile],
        disks: Mounts,
        summary: IndexReport,
        work: Work | None = None,
    ) -> None:
        self._index = index
        self._catalog = index.catalog
        self._root = root
        self._known = known
        self._load_again = load_again
        self._disks = disks
        self._summary = summary
        self._work = work or OwnWork(())
        self._ids_now: dict[str, int] = {}
        self._moved_ids: set[int] = set()

    def write(self, batch: EncodedBatch) -> None:
        """Write rows, vectors and failures in one transaction."""
        self._summary.encoded += batch.count
        # Where others write too, what is there is looked at when they have to wait.
        plan = None if self._work.is_shared else self._plan(batch, batch.files)
        with self._catalog.transaction() as change:
            ours = self._work.finish(change, [loaded.file.path for loaded in batch.files])
            if plan is None:
                plan = self._plan_beside_others(batch, ours)
            ids = self._add(change, plan.decoded, plan.encoding)
            is_put = self._put_tokens(change, ids, plan.encoding)
            copies: list[tuple[int, int]] = []
            for loaded in plan.settled:
                if loaded.failure is not None:
                    self._fail(change, loaded, loaded.failure)
                elif loaded.known_ids:
                    copies += self._reuse(change, loaded)
        # After the commit: tokens without a row would be wrong, a row without tokens is slow.
        encoding = plan.encoding
        if encoding is not None and encoding.patch_tokens is not None and not is_put:
            self._index.patch_tokens.put(ids, encoding.patch_tokens)
        for source, copy in copies:
            if source not in plan.outdated:
                self._index.patch_tokens.copy(source, copy)

    def _plan(self, batch: EncodedBatch, files: Sequence[LoadedFile]) -> _Plan:
        """What is to be written of a batch; drops the patch tokens of what changed.

        Before the commit, since old tokens beside a new vector would give wrong answers.
        """
        settled = self._settle(files)
        decoded = [loaded for loaded in settled if loaded.items]
        plan = _Plan(
            settled, decoded, self._encoding_of(decoded, batch), self._outdated_ids(settled)
        )
        if plan.outdated:
            self._index.patch_tokens.remove(sorted(plan.outdated))
        return plan

    def _plan_beside_others(self, batch: EncodedBatch, ours: set[str]) -> _Plan:
        """The same for the files that are ours, as they stand now and not before the run."""
        own = [loaded for loaded in batch.files if loaded.file.path in ours]
        self._ids_now = self._catalog.file_ids_at(self._root.id, sorted(ours))
        return self._plan(batch, own)

    @property
    def summary(self) -> IndexReport:
        """What has been done so far."""
        return self._summary

    @property
    def moved_ids(self) -> set[int]:
        """Files that turned up elsewhere, so that they are not taken for removed."""
        return self._moved_ids

    def _settle(self, batch: Sequence[LoadedFile]) -> list[LoadedFile]:
        """The batch as the catalogue stands now; files were loaded some time ahead of it."""
        hashes = {loaded.content_hash for loaded in batch if loaded.failure is None}
        present = self._catalog.files_with_content(sorted(hashes))
        settled: list[LoadedFile] = []
        for loaded in batch:
            if loaded.failure is None and loaded.content_hash in present:
                ids = tuple(present[loaded.content_hash])
                settled.append(_as_known(loaded, ids))
            elif loaded.known_ids:
                settled.append(self._load_again(loaded.file))
            else:
                settled.append(loaded)
        return settled

    def _encoding_of(
        self, decoded: Sequence[LoadedFile], batch: EncodedBatch
    ) -> ImageEncoding | None:
        """One row for each item of the decoded."""
        if not decoded:
            return None
        # Those that were loaded again, when the batch had been encoded.
        late = [loaded for loaded in decoded if loaded.content_hash not in batch.first_row]
        added = encode_batch(self._index.encoder, late, late)
        self._summary.encoded += added.count
        parts = [part.encoding for part in (batch, added) if part.encoding is not None]
        first_row = {
            **batch.first_row,
            **{content: batch.count + row for content, row in added.first_row.items()},
        }
        rows = [
            first_row[loaded.content_hash] + position
            for loaded in decoded
            for position in range(len(loaded.items))
        ]
        tokens = [part.patch_tokens for part in parts if part.patch_tokens is not None]
        return ImageEncoding(
            np.concatenate([part.vectors for part in parts])[rows],
            np.concatenate(tokens)[rows] if len(tokens) == len(parts) else None,
        )

    def _outdated_ids(self, settled: Sequence[LoadedFile]) -> set[int]:
        """Items of files that have another content now."""
        outdated: list[int] = []
        for loaded in settled:
            own_id = self._own_id(loaded)
            is_kept = loaded.failure is not None and loaded.failure.kind in KEPT_FAILURES
            if own_id is not None and own_id not in loaded.known_ids and not is_kept:
                outdated.append(own_id)
        return set(self._catalog.item_ids_of(outdated)) if outdated else set()

    def _add(
        self,
        change: WriteTransaction,
        decoded: Sequence[LoadedFile],
        encoding: ImageEncoding | None,
    ) -> list[int]:
        if encoding is None:
            return []
        change.set_encoder(self._index.encoder.loaded.space)
        if encoding.patch_tokens is not None:
            change.note_patch_tokens()
        for loaded in decoded:
            self._count_added(loaded)
        added = [(_file_facts(loaded), _item_facts(loaded)) for loaded in decoded]
        return change.add_files(self._root.id, added, encoding.vectors)

    def _put_tokens(
        self, change: WriteTransaction, ids: Sequence[int], encoding: ImageEncoding | None
    ) -> bool:
        """Keep tokens with the rows, where the catalogue does; else they come after them."""
        if encoding is None or encoding.patch_tokens is None:
            return False
        fingerprint = self._index.encoder.loaded.space.fingerprint
        return change.keep_patch_tokens(fingerprint, ids, encoding.patch_tokens)

    def _reuse(self, change: WriteTransaction, loaded: LoadedFile) -> list[tuple[int, int]]:
        """The same content is known: the file was touched, or moved, or it is a copy.

        Returns from which item to which other tokens are to be copied.
        """
        file = _file_facts(loaded)
        own_id = self._own_id(loaded)
        if own_id is not None and own_id in loaded.known_ids:
            change.touch_file(own_id, file, loaded.metadata)
            change.forget_failures(self._root.id, [file.path])
            self._summary.unchanged += 1
            return []
        lost = self._lost_file(loaded.known_ids) if own_id is None else None
        if lost is not None:
            change.move_file(lost, self._root.id, file)
            self._moved_ids.add(lost)
            self._summary.moved += 1
            return []
        self._count_added(loaded)
        return change.copy_file(min(loaded.known_ids), self._root.id, file)

    def _lost_file(self, ids: Sequence[int]) -> int | None:
        """Of files with the same content, one that is gone though its disk is there."""
        roots = [root.path for root in self._catalog.roots() if is_populated(root)]
        # Read beside the transaction, so that it is still the state that `known_ids` is from.
        for file_id, path in self._catalog.file_paths(ids).items():
            if (
                any(root in path.parents for root in roots)
                and file_id not in self._moved_ids
                and not os.path.lexists(path)
                and self._disks.absent_around(path) is None
            ):
                return file_id
        return None

    def _fail(self, change: WriteTransaction, loaded: LoadedFile, failure: ImageError) -> None:
        file = loaded.file
        own_id = self._own_id(loaded)
        if own_id is not None and failure.kind not in KEPT_FAILURES:
            # Its content is another now, and cannot be read: the old vector no longer shows it.
            change.remove_files([own_id])
        change.record_failure(
            self._root.id,
            file.path,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            kind=failure.kind,
            reason=failure.reason,
        )
        self._summary.failed += 1

    def _own_id(self, loaded: LoadedFile) -> int | None:
        """The file that stood under this path before the run, or now where others write too."""
        if self._work.is_shared:
            return self._ids_now.get(loaded.file.path)
        before = self._known.get(loaded.file.path)
        return before.file_id if before is not None else None

    def _count_added(self, loaded: LoadedFile) -> None:
        if self._own_id(loaded) is None:
            self._summary.new += 1
        else:
            self._summary.changed += 1


def _as_known(loaded: LoadedFile, ids: tuple[int, ...]) -> LoadedFile:
    """The same, for a content that is in the catalogue by now."""
    metadata = loaded.items[0].metadata if loaded.items else loaded.metadata
    return replace(loaded, known_ids=ids, items=(), metadata=metadata)


def _file_facts(loaded: LoadedFile) -> FileFacts:
    file = loaded.file
    return FileFacts(
        file.path, file.size_bytes, file.mtime_ns, loaded.content_hash, kind_of(file.path)
    )


def _item_facts(loaded: LoadedFile) -> list[ItemFacts]:
    return [ItemFacts(item.width_px, item.height_px, item.metadata) for item in loaded.items]
