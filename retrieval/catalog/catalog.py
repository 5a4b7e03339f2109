"""The catalogue: the one truth about what is indexed, with which encoder, and what failed.

This module reads; `retrieval.catalog.writing` holds what a writing transaction can do. SQL stands
in this package only. SQLite by default, any database SQLAlchemy knows by URL.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    and_,
    false,
    func,
    insert,
    inspect,
    null,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from retrieval.catalog.checking import (
    CatalogDefects,
    find_damage,
    find_damage_quickly,
    find_defects,
)
from retrieval.catalog.database import damaged, database_errors, sqlite_engine
from retrieval.catalog.rows import Failure, KnownFile, Picture, Root, StoredFile
from retrieval.catalog.schema import (
    FACTS_VERSION,
    SCHEMA_VERSION,
    failures,
    info,
    metadata,
    pictures,
    removals,
    roots,
    vectors,
)
from retrieval.catalog.writing import DISKS, PATCH_TOKENS, WriteTransaction, put_info
from retrieval.encoders.base import EncoderIdentity
from retrieval.errors import (
    CatalogError,
    DamagedCatalogError,
    IndexMissingError,
    MmsearchError,
)

# SQLite's default bound on the host parameters of one statement is 32,766; stay far below it.
_IDS_A_STATEMENT = 10_000
_ROWS_A_CHUNK = 16_384
# Looking through so much takes a fifth of a second, which any run that writes can spend.
_QUICKLY_CHECKED_BYTES = 64 * 2**20
_CHECKED_FOR_S = 24 * 3600
_CHECKED_AT = "checked_at"


class Catalog:
    """What is indexed. Reading is thread-safe; one process at a time may write.

    Open it with `Catalog.open` (an existing one) or `Catalog.create`. One that an older version
    of mmsearch made can be read as it is; what it does not know yet is None. Whoever writes
    brings it to the present format first, with `upgrade`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = SCHEMA_VERSION
        self._is_checked = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the catalogue at `path`.

        Raises IndexMissingError where there is none, CatalogError where it cannot be read or was
        made by a newer version of mmsearch.
        """
        missing = IndexMissingError(
            f"There is no index in {path.parent}: make one with "
            "`mmsearch index FOLDER`, FOLDER being where your pictures are."
        )
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
                f"The index folder {path.parent} cannot be made ({error.strerror}): choose another "
                "with --index-dir."
            ) from error
        is_new = not path.exists()
        engine = sqlite_engine(path)
        with database_errors(engine), engine.begin() as connection:
            if is_new or not _has_tables(connection, path):
                metadata.create_all(connection)
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

    @property
    def version(self) -> int:
        """The version of its tables when it was opened."""
        return self._version

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

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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

    # -- reading ------------------------------------------------------------------------------

    @property
    def encoder(self) -> EncoderIdentity | None:
        """The encoder that made the vectors; None while nothing has been indexed."""
        with self._reading() as connection:
            name = _read_info(connection, "encoder_name")
            if name is None:
                return None
            return EncoderIdentity(
                name=name,
                dim=self._read_number(connection, "encoder_dim"),
                fingerprint=_read_info(connection, "encoder_fingerprint") or "",
            )

    @property
    def has_patch_tokens(self) -> bool:
        """Whether the encoder gives patch tokens, as far as it has been asked for any."""
        with self._reading() as connection:
            return _read_info(connection, PATCH_TOKENS) is not None

    @property
    def vector_index_choice(self) -> str | None:
        """The kind of vector index that its owner chose, see `retrieval.vectors.kinds`."""
        with self._reading() as connection:
            return _read_info(connection, "vector_index")

    @property
    def generation(self) -> int:
        """How many changes the catalogue has seen; a copy with the same number is up to date."""
        with self._reading() as connection:
            return self._read_number(connection, "generation")

    def roots(self) -> list[Root]:
        """The indexed folders, in the order in which they were added."""
        with self._reading() as connection:
            rows = connection.execute(select(roots.c.id, roots.c.path).order_by(roots.c.id))
            return [Root(row.id, Path(row.path)) for row in rows]

    def disks(self) -> list[Path]:
        """Folders that lay on a disk of their own when they were last looked at, as paths."""
        with self._reading() as connection:
            value = _read_info(connection, DISKS)
        try:
            return [Path(path) for path in json.loads(value or "[]")]
        except (ValueError, TypeError) as error:
            raise damaged(self._path, f"its {DISKS} is no list of paths") from error

    def count_pictures(self, root_id: int | None = None) -> int:
        """How many pictures can be found, in all or below one root."""
        statement = select(func.count()).select_from(pictures)
        if root_id is not None:
            statement = statement.where(pictures.c.root_id == root_id)
        with self._reading() as connection:
            return int(connection.execute(statement).scalar_one())

    def picture_ids(self) -> NDArray[np.int64]:
        """The ids of all pictures, int64 (n,) ascending."""
        with self._reading() as connection:
            found = connection.execute(select(pictures.c.id).order_by(pictures.c.id))
            return np.fromiter(found.scalars(), dtype=np.int64)

    def ids_without_vectors(self) -> NDArray[np.int64]:
        """The ids, int64 (n,) ascending, of pictures whose vector is not there: damage."""
        statement = (
            select(pictures.c.id)
            .outerjoin(vectors, vectors.c.picture_id == pictures.c.id)
            .where(vectors.c.picture_id.is_(None))
            .order_by(pictures.c.id)
        )
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def known_files(self, root_id: int, below: str = "") -> dict[str, KnownFile]:
        """Every file known under a root, by its path relative to the root.

        `below` restricts to a folder or a single file, relative to the root.
        """
        known: dict[str, KnownFile] = {}
        # The raw bytes are decoded here: a type decorator's call a row is most of a re-scan.
        picture_query = select(
            pictures.c.id,
            type_coerce(pictures.c.path, NullType()),
            pictures.c.size_bytes,
            pictures.c.mtime_ns,
            self._column(pictures.c.facts_version),
        ).where(pictures.c.root_id == root_id, _is_below(pictures.c.path, below))
        failure_query = select(
            failures.c.path, failures.c.size_bytes, failures.c.mtime_ns, failures.c.kind
        ).where(failures.c.root_id == root_id, _is_below(failures.c.path, below))
        with self._reading() as connection:
            for path, size, mtime, kind in connection.execute(failure_query):
                known[path] = KnownFile(size, mtime, None, kind)
            for rows in connection.execute(picture_query).partitions(_ROWS_A_CHUNK):
                for picture_id, raw, size, mtime, read_with in rows:
                    path = os.fsdecode(raw)
                    failed = known.get(path)
                    kind = None if failed is None else failed.failure_kind
                    lacks_facts = (read_with or 0) < FACTS_VERSION
                    known[path] = KnownFile(size, mtime, picture_id, kind, lacks_facts)
        return known

    def stored_files(self, root_id: int) -> list[StoredFile]:
        """The files of all pictures under a root, as they were read, in the order of their ids."""
        statement = (
            select(
                pictures.c.id,
                pictures.c.path,
                pictures.c.size_bytes,
                pictures.c.mtime_ns,
                pictures.c.content_hash,
            )
            .where(pictures.c.root_id == root_id)
            .order_by(pictures.c.id)
        )
        with self._reading() as connection:
            return [
                StoredFile(id_, path, size, mtime, bytes(content))
                for id_, path, size, mtime, content in connection.execute(statement)
            ]

    def pictures(self, ids: Sequence[int]) -> dict[int, Picture]:
        """The pictures with these ids, by id; an id that is not there is left out."""
        found: dict[int, Picture] = {}
        with self._reading() as connection:
            for chunk in _chunks(list(ids), _IDS_A_STATEMENT):
                rows = connection.execute(
                    select(
                        pictures.c.id,
                        roots.c.path.label("root"),
                        pictures.c.path,
                        pictures.c.width_px,
                        pictures.c.height_px,
                        self._column(pictures.c.taken_at),
                    )
                    .join(roots, roots.c.id == pictures.c.root_id)
                    .where(pictures.c.id.in_(chunk))
                )
                for row in rows:
                    found[row.id] = Picture(
                        row.id,
                        Path(row.root) / row.path,
                        row.width_px,
                        row.height_px,
                        row.taken_at,
                    )
        return found

    def ids_with_content(self, content_hashes: Sequence[bytes]) -> dict[bytes, list[int]]:
        """Picture ids by content hash, for those of the hashes that are known."""
        found: dict[bytes, list[int]] = {}
        with self._reading() as connection:
            for chunk in _chunks(list(content_hashes), _IDS_A_STATEMENT):
                rows = connection.execute(
                    select(pictures.c.content_hash, pictures.c.id)
                    .where(pictures.c.content_hash.in_(chunk))
                    .order_by(pictures.c.id)
                )
                for content_hash, picture_id in rows:
                    found.setdefault(bytes(content_hash), []).append(picture_id)
        return found

    def ids_within(self, folder: Path) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of all pictures below a folder (or of the one file)."""
        conditions: list[ColumnElement[bool]] = []
        for root in self.roots():
            if root.path == folder or folder in root.path.parents:
                conditions.append(pictures.c.root_id == root.id)
            elif root.path in folder.parents:
                below = folder.relative_to(root.path).as_posix()
                conditions.append(
                    and_(pictures.c.root_id == root.id, _is_below(pictures.c.path, below))
                )
        statement = select(pictures.c.id).where(or_(false(), *conditions)).order_by(pictures.c.id)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def ids_taken(
        self, after: datetime | None = None, before: datetime | None = None
    ) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of pictures taken at `after` or later and before `before`.

        Times are the camera's own, without a zone. Pictures without a known time are left out.
        Raises CatalogError where an older catalogue knows no times at all.
        """
        if self._version < pictures.c.taken_at.info["since"]:
            raise CatalogError(
                "This index does not know yet when its pictures were taken: run `mmsearch index` "
                "once without a path, and it looks."
            )
        conditions: list[ColumnElement[bool]] = [pictures.c.taken_at.is_not(None)]
        if after is not None:
            conditions.append(pictures.c.taken_at >= after)
        if before is not None:
            conditions.append(pictures.c.taken_at < before)
        statement = select(pictures.c.id).where(*conditions).order_by(pictures.c.id)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def failures(self) -> list[Failure]:
        """The files that could not be indexed, by path."""
        statement = (
            select(
                roots.c.path.label("root"),
                failures.c.path,
                failures.c.kind,
                failures.c.reason,
                failures.c.failed_at,
            )
            .join(roots, roots.c.id == failures.c.root_id)
            .order_by(roots.c.path, failures.c.path)
        )
        with self._reading() as connection:
            return [
                Failure(Path(row.root) / row.path, row.kind, row.reason, row.failed_at)
                for row in connection.execute(statement)
            ]

    def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float16]]:
        """Embeddings, float16 (dim,), by picture id."""
        found: dict[int, NDArray[np.float16]] = {}
        with self._reading() as connection:
            for chunk in _chunks(list(ids), _IDS_A_STATEMENT):
                rows = connection.execute(
                    select(vectors.c.picture_id, vectors.c.embedding).where(
                        vectors.c.picture_id.in_(chunk)
                    )
                )
                for picture_id, embedding in rows:
                    found[picture_id] = np.frombuffer(embedding, dtype="<f2")
        return found

    def vector_ids(self, since: int = 0) -> NDArray[np.int64]:
        """Ids, int64 (n,), of pictures whose vectors were written after a generation."""
        statement = select(vectors.c.picture_id).where(vectors.c.generation > since)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def sample_vectors(self, count: int) -> NDArray[np.float16]:
        """About `count` embeddings, float16 (n, dim), evenly spread; all where there are fewer."""
        step = max(1, self.count_pictures() // count)
        statement = select(vectors.c.embedding).where(vectors.c.picture_id % step == 0)
        with self._reading() as connection:
            found = connection.execute(statement).scalars().all()
        return np.frombuffer(b"".join(found), dtype="<f2").reshape(len(found), -1)

    def count_vectors_since(self, generation: int) -> int:
        """How many vectors were written after a generation."""
        statement = (
            select(func.count()).select_from(vectors).where(vectors.c.generation > generation)
        )
        with self._reading() as connection:
            return int(connection.execute(statement).scalar_one())

    @contextmanager
    def changes_since(
        self, generation: int
    ) -> Iterator[
        tuple[
            int,
            NDArray[np.int64],
            Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]],
        ]
    ]:
        """What a copy made at `generation` must do to catch up, read in one transaction.

        Yields the present generation, the ids removed since, int64 (r,), and an iterator over
        chunks of (ids int64 (n,), embeddings float16 (n, dim)) written since. An id written again
        is in the chunks only: the copy must replace it.
        """
        with self._reading() as connection:
            present = self._read_number(connection, "generation")
            dim = _read_info(connection, "encoder_dim")
            gone = np.fromiter(
                connection.execute(
                    select(removals.c.picture_id).where(removals.c.generation > generation)
                ).scalars(),
                dtype=np.int64,
            )
            chunks = _vector_chunks(connection, generation, int(dim or 0))
            yield present, gone, self._sound_chunks(chunks)

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

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database_errors(self._engine), self._engine.connect() as connection:
            yield connection

    @property
    def _path(self) -> Path:
        return Path(self._engine.url.database or "")

    def _check_before_writing(self) -> None:
        if self._is_checked or self._engine.dialect.name != "sqlite":
            return
        with self._reading() as connection:
            checked_at = _read_info(connection, _CHECKED_AT) or ""
        is_large = self._path.stat().st_size > _QUICKLY_CHECKED_BYTES
        is_recent = checked_at.isdecimal() and 0 <= time.time() - int(checked_at) < _CHECKED_FOR_S
        if not (is_large and is_recent):
            self.require_sound()
        self._is_checked = True

    def _complaints(self, look: Callable[[Connection], list[str]]) -> list[str]:
        try:
            with self._reading() as connection:
                return look(connection)
        except DamagedCatalogError as error:
            # Damage that is too bad for the check itself.
            return [error.reason]

    def _read_number(self, connection: Connection, key: str) -> int:
        value = _read_info(connection, key)
        if value is None or not value.isdecimal():
            raise damaged(self._path, f"its {key} is {value!r}")
        return int(value)

    def _sound_chunks(
        self, chunks: Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        try:
            yield from chunks
        except ValueError as error:
            raise damaged(self._path, str(error)) from error

    def _check_version(self) -> None:
        with self._reading() as connection:
            version = self._read_number(connection, "schema_version")
        self._version = version
        if version > SCHEMA_VERSION:
            raise CatalogError(
                f"The index was made by a newer mmsearch (its format is {version}, this program "
                f"knows {SCHEMA_VERSION}): update mmsearch, or use another --index-dir."
            )

    def _column(self, column: Column[Any]) -> ColumnElement[Any]:
        """The column; NULL in its place where the catalogue is of a time before it."""
        if self._version >= column.info.get("since", 1):
            return column
        return null().label(column.name)


def _read_info(connection: Connection, key: str) -> str | None:
    value: str | None = connection.execute(
        select(info.c.value).where(info.c.key == key)
    ).scalar_one_or_none()
    return value


def _is_below(column: Any, below: str) -> ColumnElement[bool]:
    """True for the path itself and all that lies below it; for every path where it is empty."""
    if below in ("", "."):
        return column.is_not(None)  # type: ignore[no-any-return]
    # "0" follows "/" in ASCII, so this range holds just the paths that start with "below/".
    return or_(column == below, and_(column >= below + "/", column < below + "0"))


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


def _vector_chunks(
    connection: Connection, generation: int, dim: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    rows = connection.execution_options(yield_per=_ROWS_A_CHUNK).execute(
        select(vectors.c.picture_id, vectors.c.embedding)
        .where(vectors.c.generation > generation)
        .order_by(vectors.c.picture_id)
    )
    for chunk in rows.partitions():
        ids = np.fromiter((row[0] for row in chunk), dtype=np.int64, count=len(chunk))
        dim = dim or len(chunk[0][1]) // 2
        if {len(row[1]) for row in chunk} != {2 * dim}:
            raise ValueError(f"some vectors have not the {dim} dimensions of the model")
        halves = np.frombuffer(b"".join(row[1] for row in chunk), dtype="<f2").reshape(-1, dim)
        if not np.isfinite(halves).all():
            raise ValueError("some vectors are not of numbers")
        yield ids, halves


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
