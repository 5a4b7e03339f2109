"""Tags that people give to single pictures, kept in the index; the files stay as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from retrieval.catalog.facts import FROM_PEOPLE
from retrieval.index import Index

_LONGEST = 200


def change_tags(
    item_ids: Sequence[int],
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    index_dir: str | os.PathLike[str] | None = None,
) -> int:
    """Give tags to items, by id, and take such tags away again; returns how many items there were.

    Keywords of the files and tags of labels stay. Ids that are not there are passed over. Raises
    ValueError for a tag that is empty, longer than 200 letters or given and taken at once,
    IndexMissingError where there is no index, IndexBusyError while another process writes.
    """
    names = [_checked(name) for name in add]
    gone = [_checked(name) for name in remove]
    if {name.lower() for name in names} & {name.lower() for name in gone}:
        raise ValueError("A tag is given or taken away, not both.")
    with Index.writing(index_dir) as index:
        there = sorted(index.catalog.items(list(dict.fromkeys(item_ids))))
        if there:
            with index.catalog.transaction() as change:
                if gone:
                    change.remove_tags(gone, FROM_PEOPLE, there)
                for name in names:
                    change.add_tags(name, FROM_PEOPLE, dict.fromkeys(there, 1.0))
            index.refresh_vectors()
    return len(there)


def _checked(name: str) -> str:
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > _LONGEST or not tidy.isprintable():
        raise ValueError(f"A tag is a word or a few, of at most {_LONGEST} letters.")
    return tidy
