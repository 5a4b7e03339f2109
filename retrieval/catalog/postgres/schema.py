"""The tables that a catalogue on a server has besides those of `retrieval.catalog.schema`.

What an index folder keeps beside an SQLite catalogue, and whoever uses a server's shares.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table

from retrieval.catalog.schema import PlainText

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
