"""Pictures like a given one: by the vector that the index keeps of it, else by its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.arguments import check_query
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.query.query import Query
from retrieval.search.embed import indexed_id, indexed_vectors
from retrieval.search.hit import Hit, Hits

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = Hit | str | os.PathLike[str] | Image
    """An answer, the path of a picture, or an open picture."""


def query_like(picture: Picture, reader: QuickReader) -> tuple[Query, int | None]:
    """The question that a picture asks, and its item id; None for one that is not indexed.

    An indexed picture asks with its kept vector, so that its file need not be there.
    """
    # In this function a str is a path: words have no pictures like them.
    known = indexed_id(picture, reader) if isinstance(picture, str | os.PathLike | Hit) else None
    if known is not None:
        place = picture if isinstance(picture, Hit) else Path(picture)  # type: ignore[arg-type]
        return Query.of(indexed_vectors([place], reader)[0]), known
    if isinstance(picture, Hit):
        return Query.of(picture.path), None
    asked = Path(picture) if isinstance(picture, str) else picture
    check_query(asked)
    return Query.of(asked), None


def without_itself(
    answer: Callable[[int], Sequence[Hit]], itself: int | None, k: int, offset: int
) -> Hits:
    """The answers from `offset` on, at most `k`, without the picture that asks.

    `answer` gives so many answers, best first.
    """
    found = [hit for hit in answer(offset + k + 1) if hit.item_id != itself]
    return Hits(
        replace(hit, rank=rank)
        for rank, hit in enumerate(found[offset : offset + k], start=offset + 1)
    )
