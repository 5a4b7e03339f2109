"""Importing: rows and vectors of another program in, items of the index out."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.importing.kinds import open_source
from indexer.importing.models import encoder_name
from indexer.importing.places import Places, find_places
from indexer.importing.report import ImportReport
from indexer.importing.source import ForeignBatch, ForeignPicture, Source
from indexer.pipeline.encode import EncodedBatch
from indexer.pipeline.offline import Mounts
from indexer.pipeline.read import LoadedFile, Loader
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.targets import Target, resolve_targets
from indexer.pipeline.write import BatchWriter
from indexer.report import IndexReport, Progress, SilentProgress
from retrieval.catalog import FileFacts, ItemFacts, KnownFile
from retrieval.catalog.records import CONTENT_HASH_BYTES
from retrieval.encoders.base import Encoder, ImageEncoding, Vectors
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.index import Index
from retrieval.paths import absolute
from retrieval.storage.index_dir import resolve_index_dir

# Pictures are compared with their vectors until so many have been.
_COMPARED = 16
# The same model in another arithmetic, on a picture brought to size by another program, stays above
# this; two models do not come near it.
_LIKE = 0.9


def import_vectors(
    path: str | os.PathLike[str],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    kind: str | None = None,
    model: str | None = None,
    ids: str | os.PathLike[str] | None = None,
    pictures: str | os.PathLike[str] | None = None,
    encoder: Encoder | None = None,
    check: bool = True,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> ImportReport:
    """Take pictures and vectors that another program made into an index, which may be a new one.

    `kind` is one of `importing.kinds.KINDS`, told by the looks of `path` without it; `ids` names
    the pictures of a FAISS index. `model` is the encoder that made the vectors, by its name here
    or there; where the source says it, or the index has one, it need not be given. `encoder` is an
    object of one's own. Relative names are looked for in the folder `pictures`.

    A picture whose file is on this machine is read, not encoded, and is an item like any other.
    The vectors of a few are compared with what the encoder makes of them, unless `check` is
    False. The rest are items without a file. Again, it overwrites what it imported before.

    Raises MmsearchError where the source cannot be read, names no model or has vectors of another
    one, EncoderMismatchError where the index has another model, UnknownModelError where the model
    is not to be had, and what `index_folders` raises.
    """
    started = time.monotonic()
    source = open_source(absolute(path), kind, None if ids is None else absolute(ids))
    location = resolve_index_dir(index_dir)
    named = model or source.model
    if named is None and encoder is None and not location.has_catalog:
        raise MmsearchError(
            f"{path} does not say with which model its vectors were made.", code="model-unsaid"
        )
    chosen = None if named is None or encoder is not None else encoder_name(named)
    with Index.writing(location.folder, create=True, model=chosen, encoder=encoder) as index:
        space = index.encoder.space
        if source.dim != space.dim:
            raise EncoderMismatchError(
                f"{path} has vectors of {source.dim} dimensions, those of {space.name} have "
                f"{space.dim}.",
                code="import-source",
            )
        run = _Run(index, source, check, progress or SilentProgress(), stop or threading.Event())
        run.report.model = space.name
        run.take_in(None if pictures is None else absolute(pictures))
        run.report.elapsed_s = time.monotonic() - started
        return run.report


class _Run:
    def __init__(
        self,
        index: Index,
        source: Source,
        check: bool,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._index = index
        self._catalog = index.catalog
        self._source = source
        self._to_compare = _COMPARED if check else 0
        self._likenesses: list[float] = []
        self._progress = progress
        self._stop = stop
        self._decoders = DecoderPool()
        self.report = ImportReport()

    def take_in(self, pictures: Path | None) -> None:
        """Import all; stopped, what is committed stays."""
        places = find_places(
            self._source.names(),
            self._source.name,
            self._catalog,
            self._index.dir.folder,
            pictures,
        )
        self._progress.start(len(places.here) + places.elsewhere)
        try:
            with suppress(KeyboardInterrupt):
                self._write_all(places)
                return
            self.report.interrupted = True
        finally:
            self._decoders.close()
            self._progress.finish()
            self._index.refresh_vectors()

    def _write_all(self, places: Places) -> None:
        here = self._writers(places)
        for batch in self._source.batches():
            if self._stop.is_set():
                raise KeyboardInterrupt
            vectors, is_sound = _unit(batch.vectors)
            self.report.skipped += int((~is_sound).sum())
            sound = [place for place, good in enumerate(is_sound) if good]
            present = [place for place in sound if batch.pictures[place].name in places.here]
            # Of the same name, the last one counts.
            absent = {
                batch.pictures[place].name: place
                for place in sound
                if batch.pictures[place].name not in places.here
            }
            for target, write in here:
                mine = [
                    place
                    for place in present
                    if places.here[batch.pictures[place].name].is_relative_to(target.path)
                ]
                write(batch, vectors, mine)
            self._add_elsewhere(places, batch, vectors, list(absent.values()))
            self._progress.advance(len(batch.pictures))
        if self._likenesses:
            self.report.likeness = float(np.mean(self._likenesses))

    # -- pictures that are here ---------------------------------------------------------------

    def _writers(
        self, places: Places
    ) -> list[tuple[Target, Callable[[ForeignBatch, Vectors, Sequence[int]], None]]]:
        """For each root of files that are here, what writes those of a batch that lie in it."""
        targets = resolve_targets(self._catalog, places.folders)
        disks = Mounts(self._catalog)

        def writer(
            target: Target, known: Mapping[str, KnownFile]
        ) -> Callable[[ForeignBatch, Vectors, Sequence[int]], None]:
            loader = Loader(
                target.root.path,
                lambda content: self._catalog.files_with_content([content]).get(content, ()),
                lambda: self._index.encoder.preprocessing,
                self._decoders,
            )
            done = IndexReport()
            writing = BatchWriter(self._index, target.root, known, loader.load_again, disks, done)

            def write(batch: ForeignBatch, vectors: Vectors, mine: Sequence[int]) -> None:
                of_path = {
                    places.here[batch.pictures[place].name]
                    .relative_to(target.root.path)
                    .as_posix(): place
                    for place in mine
                }
                loaded = list(loader.load(_scanned(target.root.path, of_path)))
                for file in loaded:
                    self._compare(file, vectors[of_path[file.file.path]])
                before = (done.failed, done.unchanged)
                writing.write(_encoded(loaded, batch, vectors, of_path))
                self.report.failed += done.failed - before[0]
                self.report.known += done.unchanged - before[1]
                added = len(loaded) - (done.failed - before[0]) - (done.unchanged - before[1])
                self.report.here += added

            return write

        return [
            (target, writer(target, dict(self._catalog.known_files(target.root.id))))
            for target in targets
        ]

    def _compare(self, loaded: LoadedFile, vector: Vectors) -> None:
        """Raises MmsearchError once enough vectors are not those of the index's encoder."""
        if self._to_compare <= 0 or not loaded.items:
            return
        made = self._index.encoder.encode_images(loaded.items[0].pixels[None]).vectors[0]
        self._likenesses.append(float(made @ vector))
        self._to_compare -= 1
        likeness = float(np.mean(self._likenesses))
        if len(self._likenesses) >= min(4, _COMPARED) and likeness < _LIKE:
            raise MmsearchError(
                f"These vectors are not of {self._index.encoder.space.name}: of the same pictures "
                f"it makes others (a mean cosine of {likeness:.2f}).",
                code="import-mismatch",
            )

    # -- pictures that are elsewhere ----------------------------------------------------------

    def _add_elsewhere(
        self, places: Places, batch: ForeignBatch, vectors: Vectors, rows: Sequence[int]
    ) -> None:
        if not rows:
            return
        added = [
            (_file_facts(batch.pictures[row], self._source.name, places), [_item(batch, row)])
            for row in rows
        ]
        with self._catalog.transaction() as change:
            change.set_encoder(self._index.encoder.space)
            elsewhere = self._catalog.elsewhere()
            if places.base not in elsewhere:
                change.set_elsewhere([*elsewhere, places.base])
            root = change.add_root(places.base)
            change.add_files(root.id, added, vectors[list(rows)])
        self.report.elsewhere += len(rows)


def _unit(vectors: np.ndarray) -> tuple[Vectors, np.ndarray]:
    """The vectors at unit length, float32, and which of them have a length at all."""
    found = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    is_sound = np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)
    found = np.divide(found, norms, out=found.copy(), where=is_sound[:, None])
    return found, is_sound


def _scanned(root: Path, paths: Mapping[str, int]) -> list[ScannedFile]:
    found = []
    for path in sorted(paths):
        try:
            facts = (root / path).stat()
        except OSError:
            # Gone since it was looked for; reading it says so.
            found.append(ScannedFile(path, 0, 0))
        else:
            found.append(ScannedFile(path, facts.st_size, facts.st_mtime_ns))
    return found


def _encoded(
    loaded: Sequence[LoadedFile], batch: ForeignBatch, vectors: Vectors, place: Mapping[str, int]
) -> EncodedBatch:
    """Read files with the vectors that were imported, as if an encoder had made them."""
    told: list[LoadedFile] = []
    rows: list[int] = []
    first_row: dict[bytes, int] = {}
    for file in loaded:
        row = place[file.file.path]
        if file.items and file.content_hash not in first_row:
            first_row[file.content_hash] = len(rows)
            rows += [row] * len(file.items)
        theirs = batch.pictures[row].metadata
        items = tuple(
            replace(item, metadata=item.metadata.completed_by(theirs)) for item in file.items
        )
        told.append(replace(file, items=items))
    return EncodedBatch(told, ImageEncoding(vectors[rows]) if rows else None, first_row)


def _file_facts(picture: ForeignPicture, source: str, places: Places) -> FileFacts:
    # No file's content has this hash, so that none is taken for a copy of the picture.
    told = f"{source}\0{picture.name}".encode("utf-8", "surrogateescape")
    content = hashlib.blake2b(told, digest_size=CONTENT_HASH_BYTES, person=b"elsewhere").digest()
    return FileFacts(places.relative(picture), picture.size_bytes, picture.mtime_ns, content)


def _item(batch: ForeignBatch, row: int) -> ItemFacts:
    picture = batch.pictures[row]
    metadata = picture.metadata
    if metadata.url is None and "://" in picture.name:
        metadata = replace(metadata, url=picture.name)
    return ItemFacts(picture.width_px, picture.height_px, metadata)
