"""Captions by models for the pictures of an index, kept beside what the files say themselves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.pipeline.reencode import reencode
from indexer.report import Progress, SilentProgress
from indexer.sidecars import SidecarError, remove_from_sidecar, write_sidecar
from retrieval.captioning.base import Caption, Captioner, PictureToCaption
from retrieval.captioning.registry import COMPACT, load_captioner
from retrieval.catalog.records import Item
from retrieval.index import Index
from retrieval.paths import absolute
from retrieval.search.restrict import nothing_below

_BATCH_SIZE = 32
# A picture as it was described: where it is, and what was said.
Described = Callable[[Path, str], None]
# A picture whose side-car stays as it is, and why.
Left = Callable[[Path, str], None]


@dataclass
class CaptionReport:
    """What a run has done.

    `model`: the captioner's name. `described`: how many pictures got a caption, `known`: how many
    had one of this model already, `sidecars`: how many side-cars were written. `left`: pictures
    that could not be looked at, and side-cars that could not be written, each with why.
    `interrupted`: whether it was stopped before it was through.
    """

    model: str
    described: int = 0
    known: int = 0
    sidecars: int = 0
    left: list[tuple[Path, str]] = field(default_factory=list)
    interrupted: bool = False


def caption_pictures(
    index_dir: str | os.PathLike[str] | None = None,
    *,
    folders: Sequence[str | os.PathLike[str]] | None = None,
    model: str | None = None,
    captioner: Captioner | None = None,
    force: bool = False,
    sidecars: bool = False,
    progress: Progress | None = None,
    described: Described | None = None,
    stop: threading.Event | None = None,
) -> CaptionReport:
    """Have the indexed pictures described that this model has not described yet.

    `folders` keeps it to what lies below them. `model` is as `load_captioner` takes it, by default
    the built-in one; `captioner` is one of one's own. `force` describes anew what is described.
    `sidecars` writes the captions, known ones too, to XMP side-cars. Each batch is kept when it is
    done, so that a run that is cut off goes on where it was. `described` is told of each caption.
    Setting `stop` ends the run after the batch at hand.

    Raises MmsearchError where nothing below one of `folders` is indexed, IndexMissingError where
    there is no index, IndexBusyError while another process writes,
    UnknownModelError where the captioner cannot be had or does not suit the index.
    """
    progress = progress or SilentProgress()
    with Index.writing(index_dir) as index:
        by = captioner or load_captioner(model or COMPACT, index.encoder.loaded)
        report = CaptionReport(by.name)
        wanted = _within(index, folders)
        known = np.intersect1d(wanted, index.catalog.ids_captioned_by(by.name))
        due = wanted if force else np.setdiff1d(wanted, known, assume_unique=True)
        report.known = len(wanted) - len(due)
        if by.needs_tokens:
            _restore_tokens(index, due)
        try:
            progress.start(len(due))
            for start in range(0, len(due), _BATCH_SIZE):
                if stop is not None and stop.is_set():
                    report.interrupted = True
                    break
                ids = due[start : start + _BATCH_SIZE].tolist()
                _describe(index, by, ids, report, described)
                progress.advance(len(ids))
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            progress.finish()
            if report.described:
                index.refresh_vectors()
        if sidecars and not report.interrupted:
            _write_sidecars(index, wanted, report)
    return report


def remove_captions(
    index_dir: str | os.PathLike[str] | None = None,
    *,
    folders: Sequence[str | os.PathLike[str]] | None = None,
    model: str | None = None,
    sidecars: bool = False,
    left: Left | None = None,
) -> int:
    """Forget what a model wrote, or all models; returns how many captions there were.

    Captions in the files stay. `sidecars` takes them out of XMP side-cars as well, also of those
    of pictures without any here: what could not be taken out once can be in another run.
    `left` is told of each side-car that stays as it is, and why; all else is done. Raises
    MmsearchError where nothing below one of `folders` is indexed, IndexMissingError,
    IndexBusyError, and, at the very end, the first SidecarError where `left` is None.
    """
    refused: list[SidecarError] = []
    with Index.writing(index_dir) as index:
        ids = None if folders is None else _within(index, folders).tolist()
        if sidecars:
            everywhere = index.catalog.item_ids().tolist() if ids is None else ids
            for path in _paths(index, everywhere):
                try:
                    remove_from_sidecar(path)
                except SidecarError as error:
                    refused.append(error)
                    if left is not None:
                        left(path, str(error))
        with index.catalog.transaction() as change:
            gone = change.remove_captions(model, ids)
        if index.catalog.encoder is not None:
            index.refresh_vectors()
    if refused and left is None:
        raise refused[0]
    return gone


def count_captions(index_dir: str | os.PathLike[str] | None = None) -> dict[str, int]:
    """How many pictures each model has described, by its name."""
    with Index.open(index_dir) as index:
        return index.catalog.count_captions()


def _within(index: Index, folders: Sequence[str | os.PathLike[str]] | None) -> NDArray[np.int64]:
    if folders is None:
        return index.catalog.item_ids()
    found = [np.empty(0, np.int64)]
    for folder in map(absolute, folders):
        ids = index.catalog.ids_within(folder)
        if not len(ids):
            raise nothing_below(folder)
        found.append(ids)
    return np.unique(np.concatenate(found))


def _restore_tokens(index: Index, due: NDArray[np.int64]) -> None:
    """Make the patch tokens again of pictures that lost them, where their files are there."""
    kept = index.patch_tokens.ids()
    lacking = set() if kept is None else set(np.setdiff1d(due, kept).tolist())
    if lacking:
        reencode(
            index.catalog,
            index.patch_tokens,
            index.encoder,
            for_vectors=(),
            for_tokens=lacking,
            progress=SilentProgress(),
        )


def _describe(
    index: Index,
    captioner: Captioner,
    ids: Sequence[int],
    report: CaptionReport,
    described: Described | None,
) -> None:
    items = index.catalog.items(ids)
    present = [id_ for id_ in ids if id_ in items]
    said = captioner.caption(_pictures(index, captioner, [items[id_] for id_ in present]))
    found: dict[int, Caption] = {}
    for id_, caption in zip(present, said, strict=True):
        if caption is None or not caption.text:
            reason = (
                "its patch tokens are missing" if captioner.needs_tokens else "it is unreadable"
            )
            report.left.append((items[id_].path, reason))
        else:
            found[id_] = caption
    with index.catalog.transaction() as change:
        change.add_captions(captioner.name, {id_: own.text for id_, own in found.items()})
    report.described += len(found)
    if described is not None:
        for id_, caption in found.items():
            described(items[id_].path, caption.text)


def _pictures(index: Index, captioner: Captioner, items: Sequence[Item]) -> list[PictureToCaption]:
    if not captioner.needs_tokens:
        return [PictureToCaption(item.path) for item in items]
    ids = [item.id for item in items]
    vectors, tokens = index.catalog.vectors(ids), index.patch_tokens.get(ids)
    return [
        PictureToCaption(
            item.path,
            vectors[item.id].astype(np.float32) if item.id in vectors else None,
            tokens.get(item.id),
        )
        for item in items
    ]


def _write_sidecars(index: Index, ids: NDArray[np.int64], report: CaptionReport) -> None:
    for start in range(0, len(ids), _BATCH_SIZE):
        for item in index.catalog.items(ids[start : start + _BATCH_SIZE].tolist()).values():
            own = [caption.text for caption in item.captions if caption.model == report.model]
            # A moment of a video has no file of its own.
            if not own or item.time_ms is not None:
                continue
            try:
                write_sidecar(item.path, own[0], report.model)
                report.sidecars += 1
            except SidecarError as error:
                report.left.append((item.path, str(error)))


def _paths(index: Index, ids: Sequence[int]) -> list[Path]:
    found = index.catalog.items(ids)
    return [item.path for item in found.values() if item.time_ms is None]
