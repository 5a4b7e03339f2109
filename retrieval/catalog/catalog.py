"""The catalogue: the one truth about what is indexed, with which encoder, and what failed.

This module opens and guards it; `items` and `embeddings` hold what can be asked of it,
`transaction` what a writing transaction can do. It is an SQLite file, reached through SQLAlchemy;
`sqlite.quick_reader` reads the same tables without, for questions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, insert, inspect, select

from retrieval.catalog.base import NEXT_SPACE, present_space, read_info
from retrieval.catalog.contents import ContentReading
from retrieval.catalog.embeddings import EmbeddingReading
from retrieval.catalog.full_text import install
from retrieval.catalog.integrity import (
    CatalogDefects,
    find_damage,
    find_damage_quickly,
    find_defects,
)
from retrieval.catalog.items import ItemReading
from retrieval.catalog.marks import MarkReading
from retrieval.catalog.saved import SavedSearches
from retrieval.catalog.schema import SCHEMA_VERSION, info, metadata, spaces
from retrieval.catalog.sqlite.connection import (
    damaged,
    database_errors,
    raw_connection,
    sqlite_engine,
)
from retrieval.catalog.transaction import (
    DISKS,
    ELSEWHERE,
    PATCH_TOKENS,
    REMOVED,
    WriteTransaction,
    put_info,
)
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import (
    CatalogError,
    DamagedCatalogError,
    IndexMissingError,
    MmsearchError,
)

# Looking through so much takes a fifth of a second, which any run that writes can spend.
_QUICKLY_CHECKED_BYTES = 64 * 2**20
_CHECKED_FOR_S = 24 * 3600
_CHECKED_AT = "checked_at"


class Catalog(ItemReading, EmbeddingReading, ContentReading, SavedSearches, MarkReading):
    """What is indexed. Reading is thread-safe; one process at a time may write.

    Open it with `Catalog.open` (an existing one) or `Catalog.create`. One that an older version
    of mmsearch made can be read as it is; what it does not know yet is None. Whoever writes
    brings it to the present format first, with `upgrade`.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._is_checked = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the catalogue at `path`.

        Raises IndexMissingError where there is none, CatalogError where it cannot be read or was
        made by a newer version of mmsearch.
        """
        missing = IndexMissingError(f"There is no index in {path.parent}.", folder=path.parent)
        if not path.exists():
            raise missing
        catalog = cls(sqlite_engine(path))
        try:
            with catalog._reading() as connection:
                has_tables = _has_tables(connection, path)
        except BaseException:
            catalog.close()
            raise
        if not has_tables:
            # The run that was to make it was cut off at its first moment.
            catalog.close()
            raise missing
        try:
            catalog._check_version()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @classmethod
    def create(cls, path: Path) -> Self:
        """Open the catalogue at `path` to write, making it and its folder where they are missing.

        One of an older version is brought to the present format.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(
                f"The index folder {path.parent} cannot be made ({error.strerror}).",
                code="index-denied",
                folder=path.parent,
            ) from error
        is_new = not path.exists()
        engine = sqlite_engine(path)
        with database_errors(engine), engine.begin() as connection:
            if is_new or not _has_tables(connection, path):
                metadata.create_all(connection)
                raw = raw_connection(connection)
                if raw is not None:
                    install(raw)
                connection.execute(
                    insert(info),
                    [
                        {"key": "schema_version", "value": str(SCHEMA_VERSION)},
                        {"key": "generation", "value": "0"},
                    ],
                )
        catalog = cls(engine)
        catalog._check_version()
        catalog.upgrade()
        return catalog

    def upgrade(self) -> None:
        """Bring an older catalogue to the present format; for the one process that may write.

        A copy of the old one is kept beside it. The change is one transaction, so that one that
        is cut off leaves the old catalogue. Raises CatalogError where that cannot be done.
        """
        if self._version == SCHEMA_VERSION:
            return
        self._check_before_writing()
        # Here, since Alembic takes a good part of a second to load.
        from retrieval.catalog.migrations import migrate

        with database_errors(self._engine):
            migrate(self._engine, self._version)
        self._version = SCHEMA_VERSION

    # -- writing ------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[WriteTransaction]:
        """One atomic change: all of it is kept when the block ends, none of it if it raises.

        The first one looks first whether the catalogue is sound, unless it is large and was
        looked at within a day. Raises CatalogError where it is damaged, StorageError where the
        disk is full or fails.
        """
        self._check_before_writing()
        with database_errors(self._engine), self._engine.begin() as connection:
            generation = self._read_number(connection, "generation") + 1
            change = WriteTransaction(connection, generation)
            yield change
            change.finish()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def encoder(self) -> EmbeddingSpace | None:
        """The encoder that made the vectors; None while nothing has been indexed."""
        with self._reading() as connection:
            row = connection.execute(
                select(spaces.c.name, spaces.c.dim, spaces.c.fingerprint).where(
                    spaces.c.id == present_space()
                )
            ).one_or_none()
            return None if row is None else EmbeddingSpace(*row)

    @property
    def next_space(self) -> tuple[int, EmbeddingSpace] | None:
        """The space that the index is moving to, with its id; None where it is not moving."""
        with self._reading() as connection:
            space_id = read_info(connection, NEXT_SPACE)
            if space_id is None:
                return None
            row = connection.execute(
                select(spaces.c.name, spaces.c.dim, spaces.c.fingerprint).where(
                    spaces.c.id == int(space_id)
                )
            ).one_or_none()
            return None if row is None else (int(space_id), EmbeddingSpace(*row))

    @property
    def has_patch_tokens(self) -> bool:
        """Whether the encoder gives patch tokens, as far as it has been asked for any."""
        with self._reading() as connection:
            return read_info(connection, PATCH_TOKENS) is not None

    @property
    def vector_index_choice(self) -> str | None:
        """The kind of vector index that its owner chose, see `retrieval.vectors.faiss.kinds`."""
        with self._reading() as connection:
            return read_info(connection, "vector_index")

    @property
    def generation(self) -> int:
        """How many changes the catalogue has seen; a copy with the same number is up to date."""
        with self._reading() as connection:
            return self._read_number(connection, "generation")

    def disks(self) -> list[Path]:
        """Folders that lay on a disk of their own when they were last looked at, as paths."""
        return self._paths(DISKS)

    def removed(self) -> list[Path]:
        """Files and folders inside of roots that were removed and are to stay out, as paths."""
        return self._paths(REMOVED)

    def elsewhere(self) -> list[Path]:
        """Roots of imported pictures, as paths: their files need not be on this machine."""
        return self._paths(ELSEWHERE)

    # -- whether it is sound ------------------------------------------------------------------

    def check_integrity(self) -> list[str]:
        """What the database finds wrong with itself; empty when it is sound."""
        return self._complaints(find_damage)

    def find_defects(self) -> CatalogDefects:
        """Damage, rows that lack others, and vectors that are none; reads every vector."""
        encoder = self.encoder
        with self._reading() as connection:
            return find_defects(connection, encoder.dim if encoder else None)

    def require_sound(self) -> None:
        """Raise CatalogError where the catalogue is damaged; takes seconds for a million rows."""
        complaints = self._complaints(find_damage_quickly)
        if complaints:
            raise damaged(self._path, complaints[0])
        self._is_checked = True
        with (
            suppress(MmsearchError),
            database_errors(self._engine),
            self._engine.begin() as connection,
        ):
            put_info(connection, _CHECKED_AT, str(int(time.time())))

    # -- inside -------------------------------------------------------------------------------

    def _check_before_writing(self) -> None:
        if self._is_checked or self._engine.dialect.name != "sqlite":
            return
        with self._reading() as connection:
            checked_at = read_info(connection, _CHECKED_AT) or ""
        is_large = self._path.stat().st_size > _QUICKLY_CHECKED_BYTES
        is_recent = checked_at.isdecimal() and 0 <= time.time() - int(checked_at) < _CHECKED_FOR_S
        if not (is_large and is_recent):
            self.require_sound()
        self._is_checked = True

    def _paths(self, key: str) -> list[Path]:
        with self._reading() as connection:
            value = read_info(connection, key)
        try:
            return [Path(path) for path in json.loads(value or "[]")]
        except (ValueError, TypeError) as error:
            raise damaged(self._path, f"its {key} is no list of paths") from error

    def _complaints(self, look: Callable[[Connection], list[str]]) -> list[str]:
        try:
            with self._reading() as connection:
                return look(connection)
        except DamagedCatalogError as error:
            # Damage that is too bad for the check itself.
            return [error.reason]

    def _check_version(self) -> None:
        with database_errors(self._engine), self._engine.connect() as connection:
            version = self._read_number(connection, "schema_version")
        self._version = version
        if version > SCHEMA_VERSION:
            raise CatalogError(
                f"The index was made by a newer mmsearch (its format is {version}, this program "
                f"knows {SCHEMA_VERSION}): update mmsearch.",
                code="catalog-newer",
                version=version,
            )


def _has_tables(connection: Connection, path: Path) -> bool:
    """False for a file that is just being made; raises CatalogError for one that was emptied."""
    if inspect(connection).has_table(info.name):
        return True
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        # A copy of its vectors, or more than the first page, says that there was something once.
        if pages > 1 or any(path.parent.glob("vectors-*.faiss")):
            raise damaged(path, "its tables are gone")
    return False
