"""Pictures that are there more than once: the same bytes, or copies that were made of them.

Vectors say which pairs are worth a look, laying one picture upon the other says which are copies
(`retrieval.images.copies`). Nothing is ever deleted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from retrieval.catalog import Catalog, Item
from retrieval.catalog.moments import ids_of_moments
from retrieval.encoders.base import ImageEncoder
from retrieval.images.copies import compare
from retrieval.organise.copy_groups import Components, Copy, CopyGroup, ranked, reason_for, stars
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.nearness import SAMPLE, Nearness, measure_nearness
from retrieval.organise.readable import ReadablePictures
from retrieval.vectors.base import Ids
from retrieval.vectors.faiss.pairs import NearPairs, near_pairs

IDENTICAL = "identical"
# Two pictures that were taken at different seconds within this are moments of one burst.
_BURST = timedelta(seconds=60)
# So many pairs are looked at together, the nearest first.
_BLOCK = 128
# Below the typical cosine of copies the search ends once so few in so many blocks were any.
_BLOCKS = 8
_FEW = 4

Progress = Callable[[str, int, int], None]
"""Told what is done (`reading`, `comparing`), how much of it, and of how much."""


@dataclass(frozen=True)
class Duplicates:
    """Groups of copies, those that would free most first; and what could not be compared.

    `unreadable`: how many pictures were to be looked at and could not be read.
    """

    groups: tuple[CopyGroup, ...]
    unreadable: int = 0


def find_identical(catalog: Catalog, only: Ids | None = None) -> Duplicates:
    """Groups of files of the very same bytes, told by their hashes; no file is read.

    `only`: the items, ascending, that are looked at; all where it is None.
    """
    groups = []
    for ids in _same_contents(catalog, only):
        best, *others = ranked(list(_copies(catalog, ids).values()))
        same = tuple(replace(copy, kind=IDENTICAL) for copy in others)
        groups.append(CopyGroup(best, reason_for(best, same), same))
    return Duplicates(_largest_first(groups))


def find_duplicates(
    catalog: Catalog,
    encoder: ImageEncoder,
    only: Ids | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Duplicates:
    """Groups of copies: of the same bytes, saved again, resized, mirrored, cropped or marked.

    Of pictures that seem copies by their vectors the files are read; of videos only the same bytes
    are told. `only` as for `find_identical`.
    """
    identical = _same_contents(catalog, only)
    # One of each content stands for all.
    twins = {ids[0]: ids[1:] for ids in identical}
    moments = ids_of_moments(catalog.raw_rows)
    kept = KeptVectors.read(catalog, only).without(
        np.array([*(id_ for ids in identical for id_ in ids[1:]), *moments], dtype=np.int64)
    )
    with ReadablePictures() as pictures:
        # Of all, however few are looked at: how near copies lie is a property of the model.
        every = np.setdiff1d(catalog.item_ids(), np.array(moments, dtype=np.int64))
        chosen = every[:: max(1, len(every) // SAMPLE)][:SAMPLE].tolist()
        nearness = measure_nearness(list(catalog.items(chosen).values()), encoder, pictures)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress("reading", done, len(kept))

        pairs = near_pairs(kept.vectors, nearness.least, advance=advance)
        comparison = _Comparison(catalog, pictures)
        found = _verified(pairs, kept.ids, comparison, nearness, progress)
        for first, rest in twins.items():
            for other in rest:
                found.join(first, other)
        same = {id_: ids[0] for ids in identical for id_ in ids}
        groups = [
            group
            for members in found.groups()
            for group in stars(
                list(_copies(catalog, members).values()),
                lambda best, copy: comparison.kind_of(best, copy, same),
            )
        ]
        return Duplicates(_largest_first(groups), pictures.unreadable)


class _Comparison:
    """Compares items by their pixels, each pair once."""

    def __init__(self, catalog: Catalog, pictures: ReadablePictures) -> None:
        self._catalog = catalog
        self._pictures = pictures
        self._known: dict[tuple[int, int], str | None] = {}

    def look(self, pairs: list[tuple[int, int]]) -> list[str | None]:
        """How the second of each pair is a copy of the first, None where it is none."""
        lacking = [pair for pair in pairs if pair not in self._known]
        items = self._catalog.items(sorted({id_ for pair in lacking for id_ in pair}))
        self._known.update(dict.fromkeys(lacking))
        # Before any file is read: in a collection full of bursts these are most.
        worth = [pair for pair in lacking if _may_be_copies(items, *pair)]
        shown = self._pictures.thumbnails({id_: items[id_] for pair in worth for id_ in pair})
        for one, other in worth:
            if one in shown and other in shown:
                fit = compare(shown[one], shown[other])
                self._known[one, other] = fit.kind if fit.is_copy else None
        return [self._known[pair] for pair in pairs]

    def kind_of(self, best: Copy, copy: Copy, same: dict[int, int]) -> str | None:
        """How a picture is a copy of the best; those of the same bytes stand for one another."""
        one, other = same.get(best.item_id, best.item_id), same.get(copy.item_id, copy.item_id)
        if one == other:
            return IDENTICAL
        kind = self.look([(min(one, other), max(one, other))])[0]
        if kind != "same":
            return kind
        is_as_large = (best.width_px, best.height_px) == (copy.width_px, copy.height_px)
        return "saved again" if is_as_large else "resized"


def _may_be_copies(items: Mapping[int, Item], one: int, other: int) -> bool:
    """Whether both are pictures that are there, and not two moments."""
    if one not in items or other not in items:
        return False
    first, second = items[one], items[other]
    if first.time_ms is not None or second.time_ms is not None:
        return False
    return not _are_moments(first.metadata.taken_at, second.metadata.taken_at)


def _are_moments(one: datetime | None, other: datetime | None) -> bool:
    """Whether the camera's clock says that they are different pictures of one burst."""
    if one is None or other is None:
        return False
    return timedelta(0) < abs(one - other) <= _BURST


def _verified(
    pairs: NearPairs,
    ids: Ids,
    comparison: _Comparison,
    nearness: Nearness,
    progress: Progress,
) -> Components:
    """What hangs together by pairs that are copies, by item ids; the nearest are looked at first.

    Those that hang together already are not compared. Where pairs become too far for most copies
    and hardly any is one, the rest is left alone: of a million pictures there would be millions.
    """
    found = Components()
    yields: list[int] = []
    for start in range(0, len(pairs), _BLOCK):
        block = slice(start, start + _BLOCK)
        ones, others = ids[pairs.one[block]].tolist(), ids[pairs.other[block]].tolist()
        asked = [pair for pair in zip(ones, others, strict=True) if not found.are_joined(*pair)]
        kinds = comparison.look(asked)
        for (one, other), kind in zip(asked, kinds, strict=True):
            if kind is not None:
                found.join(one, other)
        yields.append(sum(kind is not None for kind in kinds))
        progress("comparing", min(start + _BLOCK, len(pairs)), len(pairs))
        is_far = float(pairs.cosines[block][-1]) < nearness.typical
        if is_far and len(yields) >= _BLOCKS and sum(yields[-_BLOCKS:]) <= _FEW:
            break
    return found


def _same_contents(catalog: Catalog, only: Ids | None) -> list[list[int]]:
    groups = catalog.same_contents()
    if only is None:
        return groups
    wanted = set(only.tolist())
    kept = ([id_ for id_ in ids if id_ in wanted] for ids in groups)
    return [ids for ids in kept if len(ids) > 1]


def _copies(catalog: Catalog, ids: list[int]) -> dict[int, Copy]:
    items, states = catalog.items(ids), catalog.file_states(ids)
    return {
        id_: Copy(
            item.path,
            id_,
            item.width_px,
            item.height_px,
            states[id_].size_bytes,
            states[id_].modified_at,
            item.metadata.taken_at,
            len(item.metadata.to_json()),
        )
        for id_, item in items.items()
        if id_ in states
    }


def _largest_first(groups: list[CopyGroup]) -> tuple[CopyGroup, ...]:
    return tuple(sorted(groups, key=lambda group: (-group.spare_bytes, str(group.best.path))))
