"""Themes of an index as answers show them: names, counts, and typical pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.organise.themes import ThemeIds
from retrieval.search.answer import as_hit
from retrieval.search.hit import Hit


@dataclass(frozen=True)
class Theme:
    """A group of pictures: the words that name it, how many it has, and typical ones.

    The score of an example is how near it lies to the middle of the group, from -1 to 1.
    """

    terms: tuple[str, ...]
    count: int
    examples: tuple[Hit, ...] = field(repr=False, default=())

    @property
    def name(self) -> str:
        """The words in a line."""
        return ", ".join(self.terms)


def shown_themes(
    groups: Sequence[ThemeIds], reader: QuickReader, examples: int | None
) -> list[Theme]:
    """The groups with so many examples each, the most typical first; with all where it is None."""
    themes = []
    for group in groups:
        ids, cosines = group.ids[:examples].tolist(), group.cosines[:examples].tolist()
        items = reader.items(ids)
        hits = [
            as_hit(rank, items[id_], cosine, cosine)
            for rank, (id_, cosine) in enumerate(zip(ids, cosines, strict=True), start=1)
            # One may have been removed meanwhile.
            if id_ in items
        ]
        themes.append(Theme(group.terms, len(group.ids), tuple(hits)))
    return themes
