"""One batch of loaded files: what is encoded, and what of it goes into the catalogue.

A batch is one transaction: after a crash either all of it is there or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from indexer.load import LoadedFile
from indexer.summary import IndexSummary
from retrieval.catalog import Catalog, KnownFile, PictureFacts, Root, WriteTransaction
from retrieval.encoders.base import Encoder, PictureEncoding
from retrieval.errors import PictureError
from retrieval.token_cache import TokenCache


class BatchWriter:
    """Encodes batches of one root and writes them. Counts what it does in the summary.

    `encoder` is called when the first picture needs it.
    """

    def __init__(
        self,
        catalog: Catalog,
        root: Root,
        known: Mapping[str, KnownFile],
        encoder: Callable[[], Encoder],
        tokens: Callable[[], TokenCache],
        summary: IndexSummary,
    ) -> None:
        self._catalog = catalog
        self._root = root
        self._known = known
        self._encoder = encoder
        self._tokens = tokens
        self._summary = summary
        self._moved_ids: set[int] = set()

    def write(self, batch: Sequence[LoadedFile]) -> None:
        """Encode what must be encoded; write rows, vectors and failures in one transaction."""
        fresh = [loaded for loaded in batch if loaded.picture is not None]
        encoding = self._encode(fresh)
        with self._catalog.transaction() as change:
            ids = self._add(change, fresh, encoding)
            for loaded in batch:
                if loaded.failure is not None:
                    self._fail(change, loaded, loaded.failure)
                elif loaded.known_ids:
                    self._reuse(change, loaded)
        if encoding is not None and encoding.patch_tokens is not None:
            # After the commit: tokens without a row would be wrong, a row without tokens is slow.
            self._tokens().put(ids, encoding.patch_tokens)

    @property
    def moved_ids(self) -> set[int]:
        """Pictures whose file turned up elsewhere, so that they are not taken for removed."""
        return self._moved_ids

    def _encode(self, fresh: Sequence[LoadedFile]) -> PictureEncoding | None:
        if not fresh:
            return None
        pixels = np.stack([loaded.picture.pixels for loaded in fresh if loaded.picture])
        self._summary.encoded += len(fresh)
        return self._encoder().encode_pictures(pixels)

    def _add(
        self,
        change: WriteTransaction,
        fresh: Sequence[LoadedFile],
        encoding: PictureEncoding | None,
    ) -> list[int]:
        if encoding is None:
            return []
        change.set_encoder(self._encoder().identity)
        facts = [
            _facts(loaded, loaded.picture.width_px, loaded.picture.height_px)
            for loaded in fresh
            if loaded.picture
        ]
        paths = [loaded.file.path for loaded in fresh]
        for path in paths:
            self._count_added(path)
        return change.add_pictures(self._root.id, paths, facts, encoding.vectors)

    def _reuse(self, change: WriteTransaction, loaded: LoadedFile) -> None:
        """The same content is known: the file was touched, or moved, or it is a copy."""
        file = loaded.file
        before = self._known.get(file.path)
        own_id = before.picture_id if before else None
        if own_id is not None and own_id in loaded.known_ids:
            change.touch_picture(own_id, file.size_bytes, file.mtime_ns)
            self._summary.unchanged += 1
            return
        pictures = self._catalog.pictures(loaded.known_ids)
        twin = next(iter(pictures.values()), None)
        if twin is None:
            failure = PictureError("vanished", "its twin was removed while it was read; run again")
            self._fail(change, loaded, failure)
            return
        facts = _facts(loaded, twin.width_px, twin.height_px)
        lost = own_id is None and self._lost_picture(loaded.known_ids)
        if lost:
            change.move_picture(lost, self._root.id, file.path, facts)
            self._moved_ids.add(lost)
            self._summary.moved += 1
            return
        vector = self._catalog.vectors([twin.id])[twin.id].astype(np.float32)
        ids = change.add_pictures(self._root.id, [file.path], [facts], vector[np.newaxis])
        self._tokens().copy(twin.id, ids[0])
        self._count_added(file.path)

    def _lost_picture(self, ids: Sequence[int]) -> int | None:
        """Of pictures with the same content, one whose file is gone though its root is there."""
        roots = [root.path for root in self._catalog.roots() if root.path.is_dir()]
        for picture in self._catalog.pictures(ids).values():
            is_reachable = any(root in picture.path.parents for root in roots)
            if (
                is_reachable
                and picture.id not in self._moved_ids
                and not os.path.lexists(picture.path)
            ):
                return picture.id
        return None

    def _fail(self, change: WriteTransaction, loaded: LoadedFile, failure: PictureError) -> None:
        file = loaded.file
        before = self._known.get(file.path)
        if before and before.picture_id is not None and failure.kind not in KEPT_FAILURES:
            # Its content is another now, and cannot be read: the old vector no longer shows it.
            change.remove_pictures([before.picture_id])
        change.record_failure(
            self._root.id,
            file.path,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            kind=failure.kind,
            reason=failure.reason,
        )
        self._summary.failed += 1

    def _count_added(self, path: str) -> None:
        before = self._known.get(path)
        if before is not None and before.picture_id is not None:
            self._summary.changed += 1
        else:
            self._summary.new += 1


# Failures after which a picture that was indexed before is kept: its content may be as it was.
KEPT_FAILURES = frozenset({"unreadable", "vanished"})


def _facts(loaded: LoadedFile, width_px: int, height_px: int) -> PictureFacts:
    file = loaded.file
    return PictureFacts(
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        content_hash=loaded.content_hash,
        width_px=width_px,
        height_px=height_px,
    )
