"""Which pictures may answer at all: filters to ids, kept while the catalogue stays as it is."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path

from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.errors import MmsearchError
from retrieval.paths import absolute
from retrieval.query.filters import And, Below, Filter, Taken
from retrieval.vectors.base import Ids

_KEPT = 16


class Restriction:
    """The ids that fit what a question is restricted by. Thread-safe."""

    def __init__(self, reader: QuickReader) -> None:
        self._reader = reader
        self._kept: dict[Filter, tuple[int, Ids]] = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        within: str | os.PathLike[str] | None,
        after: datetime | None,
        before: datetime | None,
        filter_: Filter | str | None,
    ) -> Ids | None:
        """The only ids that may answer, ascending; None where all may.

        Raises MmsearchError where `within` is not among what is indexed, QueryError where the text
        of a filter makes no sense.
        """
        parts = [] if filter_ is None else [as_filter(filter_)]
        if within is not None:
            folder = Below(absolute(within))
            if not len(self.ids(folder)):
                raise nothing_below(folder.folder)
            parts.append(folder)
        if after is not None or before is not None:
            parts.append(Taken(after, before))
        if not parts:
            return None
        return self.ids(parts[0] if len(parts) == 1 else And(tuple(parts)))

    def ids(self, filter_: Filter) -> Ids:
        """The ids that fit a filter, ascending."""
        generation = self._reader.generation
        with self._lock:
            kept = self._kept.get(filter_)
        if kept is not None and kept[0] == generation:
            return kept[1]
        ids = self._reader.ids_matching(filter_)
        with self._lock:
            self._kept[filter_] = (generation, ids)
            while len(self._kept) > _KEPT:
                self._kept.pop(next(iter(self._kept)))
        return ids


def nothing_below(folder: Path) -> MmsearchError:
    """What is said of a folder that a question or a run is kept to, and that is not indexed."""
    return MmsearchError(f"No picture below {folder} is indexed: check the folder's name.")


def as_filter(filter_: Filter | str) -> Filter:
    """A filter as data. Raises QueryError for a text that is none, TypeError for anything else."""
    if isinstance(filter_, str):
        # Here, since a plain question has none.
        from retrieval.query.parse import parse_filter

        return parse_filter(filter_)
    if not isinstance(filter_, Filter):
        raise TypeError(f"filter is a condition or its text, not {type(filter_).__name__}.")
    return filter_
