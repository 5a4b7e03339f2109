"""The catalogue: the one truth about what is indexed, with which encoder, and what failed.

This module opens and guards it; `items` and `embeddings` hold what can be asked of it,
`transaction` what a writing transaction can do. It is an SQLite file or a PostgreSQL database,
reached through SQLAlchemy; `sqlite.quick_reader` reads the same tables without, for questions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import insert, select

from retrieval.catalog.base import NEXT_SPACE, present_space, read_info
from retrieval.catalog.contents import ContentReading
from retrieval.catalog.database import Database, database_at
from retrieval.catalog.embeddings import EmbeddingReading
from retrieval.catalog.integrity import CatalogDefects, find_defects
from retrieval.catalog.items import ItemReading
from retrieval.catalog.marks import MarkReading
from retrieval.catalog.saved import SavedSearches
from retrieval.catalog.schema import SCHEMA_VERSION, info, metadata, spaces
from retrieval.catalog.transaction import (
    DISKS,
    ELSEWHERE,
    PATCH_TOKENS,
    REMOVED,
    SHARD_DONE,
    VECTOR_STORE,
    WriteTransaction,
    put_info,
)
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import CatalogError, DamagedCatalogError, MmsearchError
from retrieval.storage.catalog_url import CatalogUrl

if TYPE_CHECKING:
    from retrieval.catalog.postgres.patch_tokens import ServerPatchTokens
    from retrieval.catalog.postgres.work_queue import WorkQueue

# Looking through so much takes a fifth of a second, which any run that writes can spend.
_QUICKLY_CHECKED_BYTES = 64 * 2**20
_CHECKED_FOR_S = 24 * 3600
_CHECKED_AT = "checked_at"
# Where the marks of shards stood as one list before each had a row of its own.
_SHARDS_DONE_ONCE = "shards"


class Catalog(ItemReading, EmbeddingReading, ContentReading, SavedSearches, MarkReading):
    """What is indexed. Reading is thread-safe; one process at a time may write.

    Open it with `Catalog.open` (an existing one) or `Catalog.create`. One that an older version
    of mmsearch made can be read as it is; what it does not know yet is None. Whoever writes
    brings it to the present format first, with `upgrade`.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._is_checked = False

    @classmethod
    def open(cls, where: Path | CatalogUrl) -> Self:
        """Open the catalogue in an SQLite file or at an address on a server.

        Raises IndexMissingError where there is none, CatalogError where it cannot be read or was
        made by a newer version of mmsearch.
        """
        database = database_at(where)
        if not database.exists():
            raise database.missing()
        catalog = cls(database)
        try:
            with catalog._reading() as connection:
                has_tables = database.has_tables(connection)
            if not has_tables:
                # The run that was to make it was cut off at its first moment.
                raise database.missing()
            catalog._check_version()
            if catalog.version < SCHEMA_VERSION and database.file is None:
                raise CatalogError(
                    f"The catalogue {where} is of an older format.", code="catalog-older"
                )
        except BaseException:
            catalog.close()
            raise
        return catalog

    @classmethod
    def create(cls, where: Path | CatalogUrl) -> Self:
        """Open the catalogue to write, making it, and a file's folder, where they are missing.

        One of an older version is brought to the present format.
        """
        database = database_at(where)
        database.make_room()
        is_new = not database.exists()
        with database.errors(), database.engine.begin() as connection:
            database.lock_making(connection)
            if is_new or not database.has_tables(connection):
                metadata.create_all(connection)
                database.install(connection)
                connection.execute(
                    insert(info),
                    [
                        {"key": "schema_version", "value": str(SCHEMA_VERSION)},
                        {"key": "generation", "value": "0"},
                    ],
                )
        catalog = cls(database)
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

        with self._database.errors():
            migrate(self._database, self._version)
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
        with self._database.errors(), self._engine.begin() as connection:
            self._database.lock_writing(connection)
            generation = self._read_number(connection, "generation") + 1
            change = WriteTransaction(connection, self._database, generation)
            yield change
            change.finish()

    def hold_writing(self, *, shared: bool = False) -> AbstractContextManager[None]:
        """Keep others from writing to a server's catalogue, unless all of them share.

        Raises IndexBusyError where another holds it. A file has its folder's lock for that.
        """
        return self._database.hold_writing(shared=shared)

    @property
    def is_on_server(self) -> bool:
        """Whether it is no file, so that several may write and its keeper backs it up."""
        return self._database.file is None

    def patch_tokens(self, fingerprint: str) -> ServerPatchTokens | None:
        """The patch tokens of an encoder where the catalogue keeps them; None for a file."""
        return self._database.patch_tokens(fingerprint)

    def work_queue(self, root_id: int, below: str = "") -> WorkQueue | None:
        """What is to be read at or below a path of a root, shared out among all who index.

        None for a file, to which one writes.
        """
        return self._database.work_queue(root_id, below)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def encoder(self) -> EmbeddingSpace | None:
        """The encoder that made the vectors; None while nothing has been indexed."""
        with self._asking() as connection:
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
    def vector_store(self) -> str | None:
        """What `retrieval.vectors.registry` keeps of the store that its owner chose, as JSON."""
        with self._reading() as connection:
            return read_info(connection, VECTOR_STORE)

    def note_vector_store(self, text: str) -> None:
        """Keep what a store notes of itself, which is no change for those who ask."""
        with self._database.errors(), self._engine.begin() as connection:
            put_info(connection, VECTOR_STORE, text)

    @property
    def generation(self) -> int:
        """How many changes the catalogue has seen; a copy with the same number is up to date."""
        with self._asking() as connection:
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

    def shards_done(self) -> set[str]:
        """The marks of shards that are in the index as a whole."""
        with self._reading() as connection:
            keys = connection.execute(
                select(info.c.key).where(info.c.key.startswith(SHARD_DONE, autoescape=True))
            ).scalars()
            done = {key.removeprefix(SHARD_DONE) for key in keys}
        return done | set(self._texts(_SHARDS_DONE_ONCE))

    # -- whether it is sound ------------------------------------------------------------------

    def check_integrity(self) -> list[str]:
        """What the database finds wrong with itself; empty when it is sound."""
        return self._complaints(quickly=False)

    def find_defects(self) -> CatalogDefects:
        """Damage, rows that lack others, and vectors that are none; reads every vector."""
        encoder = self.encoder
        damage = self.check_integrity()
        with self._reading() as connection:
            return find_defects(connection, encoder.dim if encoder else None, damage)

    def require_sound(self) -> None:
        """Raise CatalogError where the catalogue is damaged; takes seconds for a million rows."""
        complaints = self._complaints(quickly=True)
        if complaints:
            raise self._database.damaged(complaints[0])
        self._is_checked = True
        with (
            suppress(MmsearchError),
            self._database.errors(),
            self._engine.begin() as connection,
        ):
            put_info(connection, _CHECKED_AT, str(int(time.time())))

    # -- inside -------------------------------------------------------------------------------

    def _check_before_writing(self) -> None:
        file = self._database.file
        if self._is_checked or file is None:
            return
        with self._reading() as connection:
            checked_at = read_info(connection, _CHECKED_AT) or ""
        is_large = file.stat().st_size > _QUICKLY_CHECKED_BYTES
        is_recent = checked_at.isdecimal() and 0 <= time.time() - int(checked_at) < _CHECKED_FOR_S
        if not (is_large and is_recent):
            self.require_sound()
        self._is_checked = True

    def _paths(self, key: str) -> list[Path]:
        return [Path(path) for path in self._texts(key)]

    def _texts(self, key: str) -> list[str]:
        with self._reading() as connection:
            value = read_info(connection, key)
        try:
            found = json.loads(value or "[]")
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise self._database.damaged(f"its {key} is no list of texts")
        return found

    def _complaints(self, *, quickly: bool) -> list[str]:
        try:
            with self._reading() as connection:
                return self._database.complaints(connection, quickly=quickly)
        except DamagedCatalogError as error:
            # Damage that is too bad for the check itself.
            return [error.reason]

    def _check_version(self) -> None:
        with self._database.errors(), self._engine.connect() as connection:
            version = self._read_number(connection, "schema_version")
        self._version = version
        if version > SCHEMA_VERSION:
            raise CatalogError(
                f"The index was made by a newer mmsearch (its format is {version}, this program "
                f"knows {SCHEMA_VERSION}): update mmsearch.",
                code="catalog-newer",
                version=version,
            )
