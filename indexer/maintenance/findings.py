"""What a check saw, as plain sentences with counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.catalog import Catalog

if TYPE_CHECKING:
    from indexer.maintenance.check import Examination

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One sort of difference between the parts of an index.

    `kind` is a word for programs, by which a front end knows what to do about it; `count` is how
    many things it is about, `sentence` says what differs, `paths` are some of the pictures.
    """

    kind: str
    count: int
    sentence: str
    paths: tuple[Path, ...] = ()


def in_words(catalog: Catalog, seen: Examination) -> Iterator[Finding]:
    """Every difference that was seen, the gravest first."""
    if seen.catalog.damage:
        lines = seen.catalog.damage
        yield Finding(
            "damage",
            len(lines),
            f"The catalogue is damaged ({lines[0]}).",
        )
        return
    yield from _about_vectors(catalog, seen)
    yield from _about_the_copy(seen)
    yield from _about_files(catalog, seen)
    yield from _about_tokens(catalog, seen)


def _about_vectors(catalog: Catalog, seen: Examination) -> Iterator[Finding]:
    defects = seen.catalog
    for kind, ids, what in (
        ("no-vector", defects.without_vector, "{} without a vector: no question finds them."),
        ("wrong-dimension", defects.wrong_dim, "{} with a vector of the wrong dimension."),
        ("no-numbers", defects.no_numbers, "{} with a vector that is not of numbers."),
        ("wrong-length", defects.wrong_length, "{} with a vector that is not of unit length."),
    ):
        if ids:
            yield _of_items(catalog, kind, ids, what)
    if defects.without_item:
        count = len(defects.without_item)
        what = "vector belongs" if count == 1 else "vectors belong"
        yield Finding("orphan-vectors", count, f"{count:,} {what} to no picture.")
    if defects.without_root:
        yield _of_items(
            catalog,
            "no-folder",
            defects.without_root,
            "{} in a folder that the catalogue does not know.",
        )


def _about_the_copy(seen: Examination) -> Iterator[Finding]:
    copy = seen.copy
    if copy.unusable:
        yield Finding("vector-index", 1, f"The vector index is {copy.unusable}.")
    elif copy.lacking or copy.foreign:
        yield Finding(
            "vector-index",
            copy.lacking + copy.foreign,
            f"The vector index lacks {copy.lacking:,} of the catalogue's pictures and has "
            f"{copy.foreign:,} that it should not have.",
        )


def _about_files(catalog: Catalog, seen: Examination) -> Iterator[Finding]:
    files = seen.files
    for kind, ids, what in (
        ("missing", files.missing, "{} whose file is no longer there."),
        ("changed", files.changed, "{} whose file was changed since it was read."),
        (
            "altered",
            files.altered,
            "{} whose file has another content, though its size and time are the same.",
        ),
        ("unreadable", files.unreadable, "{} whose file cannot be looked at."),
    ):
        if ids:
            yield _of_items(catalog, kind, ids, what)


def _about_tokens(catalog: Catalog, seen: Examination) -> Iterator[Finding]:
    if seen.tokens.is_damaged:
        what = "The cache of patch tokens is damaged: what is lost is ranked without a second look."
        yield Finding("tokens-damaged", 1, what)
        return
    for kind, ids, what in (
        ("odd-tokens", seen.tokens.odd_ids, "{} with patch tokens of the wrong size."),
        (
            "no-tokens",
            seen.without_tokens,
            "{} without patch tokens: they are ranked without a second look.",
        ),
    ):
        if ids:
            yield _of_items(catalog, kind, ids, what)
    if seen.orphan_tokens:
        count = len(seen.orphan_tokens)
        whose = "picture that is" if count == 1 else "pictures that are"
        yield Finding(
            "orphan-tokens", count, f"Patch tokens of {count:,} {whose} not in the catalogue."
        )


def _of_items(catalog: Catalog, kind: str, ids: Collection[int], what: str) -> Finding:
    count = len(ids)
    shown = catalog.items(sorted(ids)[:EXAMPLES]).values()
    images = f"{count:,} " + ("picture" if count == 1 else "pictures")
    paths = tuple(image.path for image in shown)
    return Finding(kind, count, what.format(images), paths)
