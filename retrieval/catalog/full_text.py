"""Names, folders, titles, captions and keywords of all items, to be found by their words.

Tables of SQLite's FTS5 beside the rows that they are made from: `words` by whole words, `names`
by any three letters in a row of a file's name, and `described`, by whole words, what models wrote
about pictures, which is no certainty and counts less. Triggers note in `words_due` which items
changed, whatever changed them, and the end of each writing transaction writes those anew; so the
tables hold what was committed, no more and no less.

Over the standard library's sqlite3, since a question should not wait for SQLAlchemy. An SQLite
without FTS5 or its trigram tokenizer (before 3.34) leaves the tables out, and the next one that
has both fills them.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.facts import captioned_by

# What a statement with its values finds.
Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

# Column → the kind of its texts; what is not here is made of the path or of the tags.
_TEXT_COLUMNS = {"title": "title", "caption": "caption"}
_COLUMNS = ("name", "folder", "title", "caption", "keywords")
_TABLES = (
    # Marks count as letters: without them, words of Indic scripts fall apart. No column sizes,
    # since the ranking (`search.words`) asks for none.
    f"CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5({', '.join(_COLUMNS)}, columnsize = 0,"
    " tokenize = \"porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'\")",
    "CREATE VIRTUAL TABLE IF NOT EXISTS names USING fts5(name, columnsize = 0, detail = none,"
    " tokenize = 'trigram')",
)
# Not among those: an index from before there were captions by models goes on without it.
_DESCRIBED = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS described USING fts5(text, columnsize = 0,"
    " tokenize = \"porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'\")"
)
# What is behind the last slash: rtrim takes away all but slashes from the end.
_LAST_NAME = "substr({0}, length(rtrim({0}, replace({0}, '/', ''))) + 1)"
# A score is of what a program saw in the picture, which its vector says already.
_IS_WRITTEN = "score IS NULL"
_TRIGGERS = (
    "CREATE TRIGGER words_item_added AFTER INSERT ON items"
    " BEGIN INSERT INTO words_due VALUES (NEW.id); END",
    "CREATE TRIGGER words_item_gone AFTER DELETE ON items"
    " BEGIN INSERT INTO words_due VALUES (OLD.id); END",
    "CREATE TRIGGER words_text_added AFTER INSERT ON texts"
    " BEGIN INSERT INTO words_due VALUES (NEW.item_id); END",
    "CREATE TRIGGER words_text_changed AFTER UPDATE OF text ON texts"
    " BEGIN INSERT INTO words_due VALUES (NEW.item_id); END",
    "CREATE TRIGGER words_text_gone AFTER DELETE ON texts"
    " BEGIN INSERT INTO words_due VALUES (OLD.item_id); END",
    f"CREATE TRIGGER words_tag_added AFTER INSERT ON tags WHEN NEW.{_IS_WRITTEN}"
    " BEGIN INSERT INTO words_due VALUES (NEW.item_id); END",
    f"CREATE TRIGGER words_tag_gone AFTER DELETE ON tags WHEN OLD.{_IS_WRITTEN}"
    " BEGIN INSERT INTO words_due VALUES (OLD.item_id); END",
    "CREATE TRIGGER words_file_moved AFTER UPDATE OF root_id, path ON files"
    " BEGIN INSERT INTO words_due SELECT id FROM items WHERE file_id = NEW.id; END",
    "CREATE TRIGGER words_root_moved AFTER UPDATE OF path ON roots"
    f" WHEN {_LAST_NAME.format('CAST(NEW.path AS TEXT)')}"
    f" <> {_LAST_NAME.format('CAST(OLD.path AS TEXT)')}"
    " BEGIN INSERT INTO words_due SELECT items.id FROM items"
    " JOIN files ON files.id = items.file_id WHERE files.root_id = NEW.id; END",
)
# Scripts that write words without spaces between them: there each letter is a word, and a word a
# phrase. Hangul is among them for its endings.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_BETWEEN_LETTERS = re.compile(f"(?<=[{_SPACELESS}])(?=\\S)|(?<=\\S)(?=[{_SPACELESS}])")
_BETWEEN_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_BETWEEN_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ITEMS_A_STEP = 500


# -- what is written -----------------------------------------------------------------------------


def is_supported(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite can make the tables."""
    has_trigrams = sqlite3.sqlite_version_info >= (3, 34)
    options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    return has_trigrams and "ENABLE_FTS5" in options


def install(connection: sqlite3.Connection) -> None:
    """Have what changes from now on noted, and all that is there written at the next `refresh`."""
    for statement in _TRIGGERS:
        connection.execute(statement)
    connection.execute("INSERT INTO words_due SELECT id FROM items")


def refresh(connection: sqlite3.Connection) -> None:
    """Write what is due, within the transaction that is open; raises sqlite3.Error."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM words_due)").fetchone()[0]:
        return
    if not is_supported(connection):
        return
    if not has_tables(connection):
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO words_due SELECT id FROM items")
    connection.execute(_DESCRIBED)
    due = connection.execute("SELECT DISTINCT item_id FROM words_due ORDER BY item_id")
    while step := due.fetchmany(_ITEMS_A_STEP):
        _write(connection, [row[0] for row in step])
    connection.execute("DELETE FROM words_due")


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there."""
    statement = "SELECT count(*) FROM sqlite_master WHERE name IN ('words', 'names')"
    return bool(connection.execute(statement).fetchone()[0] == 2)


def _write(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    marks = ",".join("?" * len(ids))
    for table in ("words", "names", "described"):
        connection.execute(f"DELETE FROM {table} WHERE rowid IN ({marks})", ids)
    documents = documents_of(lambda sql, values: connection.execute(sql, values).fetchall(), ids)
    connection.executemany(
        f"INSERT INTO words (rowid, {', '.join(_COLUMNS)}) VALUES (?{',?' * 5})",
        [(document.item_id, *document.columns) for document in documents],
    )
    connection.executemany(
        "INSERT INTO names (rowid, name) VALUES (?, ?)",
        [(document.item_id, document.name) for document in documents],
    )
    connection.executemany(
        "INSERT INTO described (rowid, text) VALUES (?, ?)",
        [(document.item_id, document.described) for document in documents if document.described],
    )


@dataclass(frozen=True)
class Document:
    """An item's words: those of its name, folders, title, caption and keywords, and its name.

    `described`: what models say of it, empty where none does.
    """

    item_id: int
    columns: tuple[str, ...]
    name: str
    described: str = ""


def documents_of(rows: Rows, ids: Sequence[int]) -> list[Document]:
    """What the rows of items, a few hundred at most, say in words; `rows` runs a statement."""
    marks = ",".join("?" * len(ids))
    texts: dict[tuple[int, str], list[str]] = {}
    for item_id, kind, text in rows(
        f"SELECT item_id, kind, text FROM texts WHERE item_id IN ({marks})", ids
    ):
        kind = "described" if captioned_by(kind) is not None else kind
        texts.setdefault((item_id, kind), []).append(text)
    for item_id, tag in rows(
        f"SELECT item_id, tag FROM tags WHERE item_id IN ({marks}) AND {_IS_WRITTEN}", ids
    ):
        texts.setdefault((item_id, "keywords"), []).append(tag)
    documents = []
    for item_id, root, path in rows(
        "SELECT items.id, roots.path, files.path FROM items JOIN files ON files.id = items.file_id"
        f" JOIN roots ON roots.id = files.root_id WHERE items.id IN ({marks}) ORDER BY items.id",
        ids,
    ):
        *inner, name = _as_text(path).split("/")
        folders = (PurePosixPath(_as_text(root)).name, *inner)
        kinds = [_TEXT_COLUMNS.get(column, column) for column in _COLUMNS[2:]]
        told = ("\n".join(texts.get((item_id, kind), ())) for kind in kinds)
        columns = (name, "\n".join(folders), *told)
        described = as_document("\n".join(texts.get((item_id, "described"), ())))
        documents.append(Document(item_id, tuple(map(as_document, columns)), name, described))
    return documents


# -- what is asked -------------------------------------------------------------------------------


class FullText:
    """What can be asked of the words of one catalogue, through whatever reads its rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def is_there(self) -> bool:
        """Whether words are kept: not before an older catalogue was written to again."""
        tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('words', 'names')"
        options = "SELECT count(*) FROM pragma_compile_options WHERE compile_options = ?"
        has_tables = self._rows(tables, ()) == [(2,)]
        return has_tables and self._rows(options, ("ENABLE_FTS5",)) == [(1,)]

    def size(self) -> int:
        """About how many items there are: never fewer."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM items", ())[0][0])

    def sample(self, blocks: int = 20, each: int = 10) -> list[int]:
        """Ids of items from all over the catalogue, `each` neighbours in `blocks` places."""
        statement = "SELECT id FROM items WHERE id >= ? ORDER BY id LIMIT ?"
        step = self.size() / blocks
        found = [self._rows(statement, (int(step * block), each)) for block in range(blocks)]
        return sorted({row[0] for rows in found for row in rows})

    def ids_with(self, word: str, limit: int) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of at most `limit` items that have a word anywhere.

        A word that its script writes as several, or that is part letters, part digits, is a phrase.
        """
        statement = "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
        found = self._rows(statement, (_phrase(word), limit))
        return np.sort(np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found)))

    @property
    def has_captions(self) -> bool:
        """Whether what models wrote about pictures is kept."""
        statement = "SELECT count(*) FROM sqlite_master WHERE name = 'described'"
        return self._rows(statement, ()) == [(1,)]

    def ids_described_with(self, word: str, limit: int) -> NDArray[np.int64]:
        """As `ids_with`, of the items of which a model says the word."""
        statement = "SELECT rowid FROM described WHERE described MATCH ? LIMIT ?"
        found = self._rows(statement, (_phrase(word), limit))
        return np.sort(np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found)))

    def names_with_words(self, text: str, limit: int) -> dict[int, str]:
        """At most `limit` file names, by item id, in which words stand as they do in the text."""
        statement = (
            "SELECT names.rowid, names.name FROM words JOIN names ON names.rowid = words.rowid"
            " WHERE words MATCH ? LIMIT ?"
        )
        return dict(self._rows(statement, (f"name : {_phrase(text)}", limit)))

    def names_with_part(self, part: str, limit: int) -> dict[int, str]:
        """At most `limit` file names, by item id, with these letters, three or more, in a row."""
        trigrams = [part[start : start + 3] for start in range(len(part) - 2)]
        if not trigrams or "\0" in part:
            return {}
        # LIKE alone would use the table, too, but crashes some versions of SQLite (3.40) where the
        # letters are of several bytes; the plus keeps it to the rows that have all trigrams.
        statement = (
            "SELECT rowid, name FROM names WHERE names MATCH ? AND +name LIKE ? ESCAPE '\\' LIMIT ?"
        )
        quoted = (trigram.replace('"', '""') for trigram in map(without_surrogates, trigrams))
        all_of_them = " AND ".join(f'"{trigram}"' for trigram in quoted)
        return dict(self._rows(statement, (all_of_them, like_pattern(part), limit)))


def as_document(text: str) -> str:
    """A text as its words are kept: also such as a name writes in one, `BeachAtNoon2021`."""
    if not text:
        return text
    apart = _BETWEEN_CAPITALS.sub(" ", text)
    return as_words(text if apart == text else f"{text} {apart}")


def as_words(text: str) -> str:
    """A text with spaces between its words, where digits or the script leave them out."""
    plain = unicodedata.normalize("NFKC", text)
    return _BETWEEN_DIGITS.sub(" ", _BETWEEN_LETTERS.sub(" ", plain))


def _phrase(text: str) -> str:
    # A NUL ends a string for SQLite, which would then miss the closing quote.
    words = as_words(text).replace("\0", " ").replace('"', " ")
    return f'"{without_surrogates(words)}"'


def like_pattern(part: str) -> str:
    """What LIKE takes, with \\ before what would stand for others, for a text with this part."""
    escaped = re.sub(r"([\\%_])", r"\\\1", without_surrogates(part))
    return f"%{escaped}%"


def without_surrogates(text: str) -> str:
    """A text that SQLite takes: arguments of a program may hold bytes that are none."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _as_text(path: bytes) -> str:
    """A path as readable text; bytes that are none are replaced."""
    text = bytes(path).decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)
