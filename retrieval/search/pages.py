"""All answers to a question, asked for page by page as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from retrieval.search.hit import Hit, Hits

# So many answers from a rank on, counted from 0.
AskPage = Callable[[int, int], Hits]


def paged(ask: AskPage, page: int, largest: int | None = None) -> Iterator[Hit]:
    """The hits of all pages, each once: an index may change from one page to the next.

    The first page has `page` answers, each further one twice as many, `largest` at most.
    """
    told: set[int] = set()
    offset = 0
    while hits := ask(page, offset):
        for hit in hits:
            if hit.item_id not in told:
                told.add(hit.item_id)
                yield hit if hit.rank == len(told) else replace(hit, rank=len(told))
        offset += page
        page = min(2 * page, largest or 2 * page)
