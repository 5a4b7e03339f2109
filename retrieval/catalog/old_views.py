"""The tables of older versions as they would be in this one, to be read and not to be written.

An index on a disk that cannot be written, or one that another process is about to bring to the
present format, answers questions as it is. Temporary views stand in for the tables it lacks: they
come before the file's own tables of the same name, and live no longer than their connection.
"""

from __future__ import annotations

from sqlalchemy import Connection

from retrieval.catalog.schema import items

_VIEWS = """
CREATE TEMP VIEW spaces AS SELECT 1 AS id, name.value AS name,
    CAST(dim.value AS INTEGER) AS dim, fingerprint.value AS fingerprint
    FROM main.info name, main.info dim, main.info fingerprint
    WHERE name.key = 'encoder_name' AND dim.key = 'encoder_dim'
    AND fingerprint.key = 'encoder_fingerprint';
CREATE TEMP VIEW files AS SELECT id, root_id, path, size_bytes, mtime_ns, content_hash,
    'image' AS media_kind, {facts_version} AS facts_version FROM main.pictures;
CREATE TEMP VIEW items AS SELECT id, id AS file_id, 0 AS position, {columns} FROM main.pictures;
CREATE TEMP VIEW embeddings AS SELECT picture_id AS item_id, 1 AS space_id, generation,
    embedding AS vector FROM main.vectors;
CREATE TEMP VIEW removals AS SELECT picture_id AS item_id, generation FROM main.removals;
CREATE TEMP VIEW texts AS SELECT NULL AS item_id, NULL AS kind, NULL AS language, NULL AS text
    WHERE 0;
CREATE TEMP VIEW tags AS SELECT NULL AS item_id, NULL AS tag, NULL AS source, NULL AS score
    WHERE 0;
"""
_MARKS = """
CREATE TEMP VIEW marks AS SELECT NULL AS question, NULL AS item_id, NULL AS is_right,
    NULL AS marked_at WHERE 0
"""
# What the older versions' table of pictures has of the columns of `items`.
_KNOWN = {
    1: ("width_px", "height_px"),
    2: ("width_px", "height_px", "taken_at"),
}


def create_old_views(connection: Connection, version: int) -> None:
    """Let a connection to a catalogue of an older version be read as one of this version.

    One of version 3 has all tables but those of words, of saved searches and of marks, one of
    version 4 all but the last.
    """
    connection.exec_driver_sql(_MARKS)
    if version > max(_KNOWN):
        return
    known = _KNOWN[version]
    columns = ", ".join(
        column.name if column.name in known else f"NULL AS {column.name}"
        for column in items.c
        if column.name not in ("id", "file_id", "position")
    )
    facts_version = "facts_version" if version > 1 else "0"
    views = _VIEWS.format(columns=columns, facts_version=facts_version)
    for statement in views.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
