"""Full text on PostgreSQL, with the answers of `retrieval.catalog.full_text` on SQLite.

One table beside the rows that it is made from, kept by the same means: triggers note in `words_due`
which items changed, and the end of each writing transaction writes those anew. `words.words` is a
tsvector, in which the words of a file's name have the weight A; `words.name` is the name itself, to
be found by any three letters in a row where the extension pg_trgm is to be had, and slowly where
not.

Words are taken apart here and not by the server, whose parser takes `dsc01234.jpg` for a host and
whose letters hang on the locale. Its Porter stemmer, the one that SQLite has, finds their stems.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from retrieval.catalog.full_text import (
    FullText,
    Rows,
    as_words,
    documents_of,
    like_pattern,
    without_surrogates,
)

_TABLES = (
    "CREATE TEXT SEARCH DICTIONARY words_porter (TEMPLATE = snowball, LANGUAGE = porter)",
    'CREATE TABLE words (item_id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL,'
    " words tsvector NOT NULL)",
    "CREATE INDEX words_by_word ON words USING gin (words)",
)
_TRIGRAMS = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX words_by_part ON words USING gin (name gin_trgm_ops)",
)
_NOTE = """
CREATE FUNCTION words_note_{name}() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO words_due {rows}; RETURN NULL; END $$
"""
_NOTES = {
    "item": "VALUES (NEW.id)",
    "item_gone": "VALUES (OLD.id)",
    "row": "VALUES (NEW.item_id)",
    "row_gone": "VALUES (OLD.item_id)",
    "file": "SELECT id FROM items WHERE file_id = NEW.id",
    "root": "SELECT items.id FROM items JOIN files ON files.id = items.file_id"
    " WHERE files.root_id = NEW.id",
}
# A score is of what a program saw in the picture, which its vector says already.
_TRIGGERS = (
    ("item", "AFTER INSERT ON items", ""),
    ("item_gone", "AFTER DELETE ON items", ""),
    ("row", "AFTER INSERT OR UPDATE OF text ON texts", ""),
    ("row_gone", "AFTER DELETE ON texts", ""),
    ("row", "AFTER INSERT ON tags", "WHEN (NEW.score IS NULL)"),
    ("row_gone", "AFTER DELETE ON tags", "WHEN (OLD.score IS NULL)"),
    ("file", "AFTER UPDATE OF root_id, path ON files", ""),
    ("root", "AFTER UPDATE OF path ON roots", "WHEN (NEW.path <> OLD.path)"),
)
_ITEMS_A_STEP = 500
# The server takes lexemes of up to 2,046 bytes, of which a letter may have four.
_LONGEST_WORD = 500
_MOST_WORDS = 16_000
# Of words that were asked for, so that each costs a round trip once.
_MOST_STEMS = 10_000
_STEMS: dict[str, str] = {}


# -- what is written -----------------------------------------------------------------------------


def install(connection: Connection) -> None:
    """Make the table, have what changes from now on noted, and all that is there written next."""
    for statement in _TABLES:
        connection.exec_driver_sql(statement)
    try:
        with connection.begin_nested():
            for statement in _TRIGRAMS:
                connection.exec_driver_sql(statement)
    except DBAPIError:
        # Not installed, or not ours to install: parts of names are then found without an index.
        pass
    for name, rows in _NOTES.items():
        connection.exec_driver_sql(_NOTE.format(name=name, rows=rows))
    for number, (name, when, condition) in enumerate(_TRIGGERS):
        connection.exec_driver_sql(
            f"CREATE TRIGGER words_note_{number} {when} FOR EACH ROW {condition}"
            f" EXECUTE FUNCTION words_note_{name}()"
        )
    connection.exec_driver_sql("INSERT INTO words_due SELECT id FROM items")


def refresh(connection: Connection, rows: Rows) -> None:
    """Write what is due, within the transaction that is open; `rows` asks in the same."""
    due = rows("SELECT DISTINCT item_id FROM words_due ORDER BY item_id", ())
    if not due:
        return
    ids = [row[0] for row in due]
    for start in range(0, len(ids), _ITEMS_A_STEP):
        _write(connection, rows, ids[start : start + _ITEMS_A_STEP])
    connection.exec_driver_sql("DELETE FROM words_due")


def _write(connection: Connection, rows: Rows, ids: Sequence[int]) -> None:
    connection.exec_driver_sql("DELETE FROM words WHERE item_id = ANY(%s)", (list(ids),))
    documents = documents_of(rows, ids)
    if not documents:
        return
    spelt = [[words_in(column) for column in document.columns] for document in documents]
    stem_of = _stems(rows, {word for columns in spelt for column in columns for word in column})
    connection.exec_driver_sql(
        "INSERT INTO words (item_id, name, words) SELECT item_id, name, CAST(words AS tsvector)"
        " FROM unnest(CAST(%s AS bigint[]), CAST(%s AS text[]), CAST(%s AS text[]))"
        " AS written (item_id, name, words)",
        (
            [document.item_id for document in documents],
            [document.name.replace("\0", "") for document in documents],
            [_vector(columns, stem_of) for columns in spelt],
        ),
    )


def _vector(columns: Sequence[Sequence[str]], stem_of: dict[str, str]) -> str:
    """The columns' words with their places as the server reads them; the first is the name's."""
    parts = []
    place = 0
    for number, words in enumerate(columns):
        for word in words:
            place += 1
            if place > _MOST_WORDS:
                break
            parts.append(f"'{stem_of[word]}':{place}{'A' if number == 0 else ''}")
        # So that no phrase reaches from one column into the next.
        place += 1
    return " ".join(parts)


def _stems(rows: Rows, words: set[str]) -> dict[str, str]:
    found = rows(
        "SELECT word, (ts_lexize('words_porter', word))[1] FROM unnest(CAST(? AS text[])) word",
        (sorted(words),),
    )
    return {word: stem or word for word, stem in found}


def words_in(text: str) -> list[str]:
    """The words of a text as SQLite's tokenizer takes them: lower case, Latin without accents.

    Marks count as letters: without them, words of Indic scripts fall apart.
    """
    letters = []
    for letter in text:
        if "\u0300" <= letter <= "\u036f":
            continue
        category = unicodedata.category(letter)
        is_of_word = category[0] in "LMN" or category == "Co"
        letters.append(_plain(letter) if is_of_word else " ")
    return [word[:_LONGEST_WORD] for word in "".join(letters).split()]


def _plain(letter: str) -> str:
    if not letter.isascii():
        base = unicodedata.normalize("NFD", letter)[0]
        letter = base if base.isascii() and base.isalpha() else letter
    return letter.lower()


# -- what is asked -------------------------------------------------------------------------------


class PostgresFullText(FullText):
    """See `FullText`."""

    @property
    def is_there(self) -> bool:
        """Whether words are kept."""
        return self._rows("SELECT to_regclass('words') IS NOT NULL", ()) == [(True,)]

    @property
    def has_captions(self) -> bool:
        """They are kept and shown here, but not looked through for words."""
        return False

    def ids_with(self, word: str, limit: int) -> NDArray[np.int64]:
        """See `FullText`."""
        query = self._phrase(word)
        if query is None:
            return np.empty(0, np.int64)
        statement = "SELECT item_id FROM words WHERE words @@ CAST(? AS tsquery) LIMIT ?"
        found = self._rows(statement, (query, limit))
        return np.sort(np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found)))

    def names_with_words(self, text: str, limit: int) -> dict[int, str]:
        """See `FullText`."""
        query = self._phrase(text, ":A")
        if query is None:
            return {}
        statement = "SELECT item_id, name FROM words WHERE words @@ CAST(? AS tsquery) LIMIT ?"
        return dict(self._rows(statement, (query, limit)))

    def names_with_part(self, part: str, limit: int) -> dict[int, str]:
        """See `FullText`."""
        if len(part) < 3 or "\0" in part:
            return {}
        statement = "SELECT item_id, name FROM words WHERE name ILIKE ? ESCAPE '\\' LIMIT ?"
        return dict(self._rows(statement, (like_pattern(part), limit)))

    def _phrase(self, text: str, weight: str = "") -> str | None:
        """The words of a text one after the other, as the server asks; None where it has none."""
        words = words_in(without_surrogates(as_words(text)))
        if not words:
            return None
        # A copy, since others may ask meanwhile.
        stem_of = {word: stem for word in words if (stem := _STEMS.get(word)) is not None}
        unknown = set(words) - set(stem_of)
        if unknown:
            stem_of |= _stems(self._rows, unknown)
            if len(_STEMS) > _MOST_STEMS:
                _STEMS.clear()
            _STEMS.update(stem_of)
        return " <-> ".join(f"'{stem_of[word]}'{weight}" for word in words)
