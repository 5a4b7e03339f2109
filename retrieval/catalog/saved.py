"""Questions that are kept in the catalogue under a name."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import delete, select

from retrieval.catalog.base import CatalogBase
from retrieval.catalog.records import SavedSearch
from retrieval.catalog.schema import saved_searches
from retrieval.catalog.upsert import upsert


class SavedSearches(CatalogBase):
    """Reads and writes them. What a question finds stays, and so does `generation`."""

    def saved_searches(self) -> list[SavedSearch]:
        """All of them, by name; none in a catalogue of an older version."""
        if self._version < saved_searches.info["since"]:
            return []
        statement = select(saved_searches).order_by(saved_searches.c.name)
        with self._reading() as connection:
            rows = connection.execute(statement).all()
        try:
            return [
                SavedSearch(row.name, told["question"], dict(told["options"]), row.saved_at)
                for row in rows
                for told in [json.loads(row.question)]
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise self._database.damaged("a saved search is garbled") from error

    def save_search(self, name: str, question: str, options: dict[str, Any]) -> SavedSearch:
        """Keep a question with its options under a name; one of that name is replaced.

        Raises ValueError for a name that is empty.
        """
        if not name.strip():
            raise ValueError("A saved search needs a name.")
        search = SavedSearch(name, question, dict(options), time.time())
        told = json.dumps({"question": question, "options": search.options})
        row = {"name": name, "question": told, "saved_at": search.saved_at}
        with self._database.errors(), self._engine.begin() as connection:
            upsert(connection, saved_searches, ["name"], [row])
        return search

    def remove_saved_search(self, name: str) -> bool:
        """Forget the one of that name; False where there is none."""
        statement = delete(saved_searches).where(saved_searches.c.name == name)
        with self._database.errors(), self._engine.begin() as connection:
            return connection.execute(statement).rowcount > 0
