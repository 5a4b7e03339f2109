"""Bringing a catalogue of an older version to the present format.

Each version has a step, `to_version_N`, written with Alembic's operations so that it suits every
database. Versions are a plain line: a file on somebody's disk knows no branches.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, update

from retrieval.catalog.base import read_info
from retrieval.catalog.database import Database
from retrieval.catalog.schema import SCHEMA_VERSION, info
from retrieval.catalog.sqlite.backup import copy_catalog

logger = logging.getLogger(__name__)


def migrate(database: Database, version: int) -> None:
    """Bring a catalogue of `version` to the present one in one transaction.

    For the process that holds the writer lock. An SQLite file is copied first, to
    `catalog.vN.sqlite` beside it; the copy stays. On a server, one process does it, and others
    that would wait until it is done.
    """
    kept = _keep_copy(database.engine, version)
    with database.engine.begin() as connection:
        database.lock_making(connection)
        version = int(read_info(connection, "schema_version") or version)
        for number in range(version + 1, SCHEMA_VERSION + 1):
            take_step(connection, number)
        connection.execute(
            update(info).where(info.c.key == "schema_version").values(value=str(SCHEMA_VERSION))
        )
    if kept is not None:
        logger.warning(
            "The index was brought to format %d; its catalogue as it was is kept in %s.",
            SCHEMA_VERSION,
            kept,
        )


def take_step(connection: Connection, number: int) -> None:
    """Change the tables of version `number - 1` to those of `number`."""
    step = import_module(f"retrieval.catalog.migrations.to_version_{number}")
    step.upgrade(Operations(MigrationContext.configure(connection)))


def _keep_copy(engine: Engine, version: int) -> Path | None:
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database:
        return None
    path = Path(database)
    kept = path.with_name(f"{path.stem}.v{version}{path.suffix}")
    copy_catalog(path, kept)
    return kept
