"""Searches that are saved in an index under a name, and forgotten again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retrieval.catalog import Catalog
from retrieval.catalog.records import SavedSearch
from retrieval.catalog.schema import SCHEMA_VERSION
from retrieval.errors import MmsearchError
from retrieval.index import Index
from retrieval.storage.index_dir import resolve_index_dir


def save_search(
    name: str,
    question: str,
    options: dict[str, Any],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    replace: bool = False,
) -> SavedSearch:
    """Keep a question with its options under a name, also while another process writes.

    Raises MmsearchError where one of that name is kept and is not to be replaced, ValueError for an
    empty name, IndexMissingError where there is no index, CatalogError where it cannot be written.
    """
    with _catalog(index_dir) as catalog:
        if not replace and any(search.name == name for search in catalog.saved_searches()):
            raise MmsearchError(
                f"A search called {name!r} is saved already.", code="search-exists", name=name
            )
        return catalog.save_search(name, question, options)


def saved_search(name: str, index_dir: str | os.PathLike[str] | None = None) -> SavedSearch:
    """The search of that name. Raises MmsearchError, with the nearest name, where there is none."""
    found = {search.name: search for search in saved_searches(index_dir)}
    if name not in found:
        raise _missing(name, list(found))
    return found[name]


def saved_searches(index_dir: str | os.PathLike[str] | None = None) -> list[SavedSearch]:
    """All saved searches, by name. Raises IndexMissingError where there is no index."""
    with Catalog.open(resolve_index_dir(index_dir).address) as catalog:
        return catalog.saved_searches()


def remove_saved_search(name: str, index_dir: str | os.PathLike[str] | None = None) -> None:
    """Forget the search of that name. Raises MmsearchError where there is none."""
    with _catalog(index_dir) as catalog:
        known = [search.name for search in catalog.saved_searches()]
        if not catalog.remove_saved_search(name):
            raise _missing(name, known)


@contextmanager
def _catalog(index_dir: str | os.PathLike[str] | None) -> Iterator[Catalog]:
    """The catalogue, of the present format: one row needs no lock, but bringing it there does."""
    path = resolve_index_dir(index_dir).address
    with Catalog.open(path) as catalog:
        is_old = catalog.version != SCHEMA_VERSION
    if is_old:
        with Index.writing(index_dir):
            pass
    with Catalog.open(path) as catalog:
        yield catalog


def _missing(name: str, known: list[str]) -> MmsearchError:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return MmsearchError(f"No search called {name!r} is saved{hint}", code="no-search")
