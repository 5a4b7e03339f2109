"""The tables that a catalogue on a server has besides those of `retrieval.catalog.schema`.

What an index folder keeps beside an SQLite catalogue, and whoever uses a server's shares.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, LargeBinary, MetaData, Table

from retrieval.catalog.schema import FilePath, PlainText

server_metadata = MetaData()

# Without a key into `items`, since they may outlive theirs: who asks for them names items.
patch_tokens = Table(
    "patch_tokens",
    server_metadata,
    Column("fingerprint", PlainText, primary_key=True, comment="the encoder's"),
    Column("item_id", BigInteger, primary_key=True),
    Column("patches", Integer, nullable=False),
    Column("tokens", LargeBinary, nullable=False, comment="int8, patches by dimensions"),
)

# Files that are to be read, see `work_queue`.
work = Table(
    "work",
    server_metadata,
    Column("root_id", BigInteger, primary_key=True),
    Column("path", FilePath, primary_key=True, comment="relative to the root, with /"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("claimed_by", PlainText),
    Column("lease_until", DateTime(timezone=True)),
    Index("work_by_lease", "root_id", "lease_until"),
)
