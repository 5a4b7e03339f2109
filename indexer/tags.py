"""Labels of one's own, kept in the index as tags beside the keywords of the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.catalog.facts import FROM_LABELS
from retrieval.errors import MmsearchError
from retrieval.index import Index
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.labels import DEFAULT_THRESHOLD, Label, fitting
from retrieval.query.filters import Filter

EXAMPLES = 3


@dataclass(frozen=True)
class TagReport:
    """How many pictures a label fits, and those that it fits best."""

    name: str
    pictures: int
    examples: tuple[Path, ...] = ()


def tag_pictures(
    labels: Sequence[Label],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    filter: Filter | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    dry_run: bool = False,
) -> list[TagReport]:
    """Tag the pictures that fit each label, of all or of those that fit a filter.

    What the labels had tagged there before is replaced; keywords of the files, and other labels'
    tags, stay as they are. With `dry_run` nothing is written. Raises IndexMissingError where there
    is no index, IndexBusyError while another process writes.
    """
    if dry_run:
        with Index.open(index_dir) as index:
            return _tagged(index, labels, filter, threshold, write=False)
    with Index.writing(index_dir) as index:
        return _tagged(index, labels, filter, threshold, write=True)


def count_tags(index_dir: str | os.PathLike[str] | None = None) -> dict[str, int]:
    """How many pictures each label has tagged, by its name."""
    with Index.open(index_dir) as index:
        return index.catalog.count_tags(FROM_LABELS)


def remove_tags(
    names: Sequence[str] | None = None, index_dir: str | os.PathLike[str] | None = None
) -> dict[str, int]:
    """Take labels' tags away, all of them where no names are given; returns how many, by name.

    Keywords of the files stay. Raises MmsearchError for a name that no label has tagged.
    """
    with Index.writing(index_dir) as index:
        there = index.catalog.count_tags(FROM_LABELS)
        by_name = {name.lower(): name for name in there}
        for name in names or ():
            if name.lower() not in by_name:
                raise MmsearchError(
                    f"No label has tagged a picture {name}.", code="no-such-tag", name=name
                )
        gone = list(there) if names is None else [by_name[name.lower()] for name in names]
        with index.catalog.transaction() as change:
            change.remove_tags(gone, FROM_LABELS)
        if index.catalog.encoder is not None:
            index.refresh_vectors()
        return {name: there[name] for name in gone}


def _tagged(
    index: Index, labels: Sequence[Label], filter_: Filter | None, threshold: float, *, write: bool
) -> list[TagReport]:
    catalog = index.catalog
    only = None if filter_ is None else catalog.ids_matching(filter_)
    kept = KeptVectors.read(catalog, only)
    found = fitting(labels, kept, index.encoder.loaded, threshold)
    if write:
        with catalog.transaction() as change:
            for fit in found:
                scores = dict(zip(fit.ids.tolist(), fit.scores.tolist(), strict=True))
                # All of the label's in an index without a filter, so that none is left behind.
                former = None if only is None else kept.ids.tolist()
                change.remove_tags([fit.label.name], FROM_LABELS, former)
                change.add_tags(fit.label.name, FROM_LABELS, scores)
        index.refresh_vectors()
    best = {
        fit.label.name: fit.ids[(-fit.scores).argsort(kind="stable")[:EXAMPLES]].tolist()
        for fit in found
    }
    items = catalog.items(sorted({id_ for ids in best.values() for id_ in ids}))
    return [
        TagReport(
            fit.label.name,
            len(fit.ids),
            tuple(items[id_].path for id_ in best[fit.label.name] if id_ in items),
        )
        for fit in found
    ]
