"""Opening the vector store that an index has: FAISS files, or tables in a database.

What a database's client needs is loaded here when it is first needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import VectorStoreError
from retrieval.vectors.base import VectorStore
from retrieval.vectors.choice import FAISS, StoreChoice

if TYPE_CHECKING:
    from retrieval.catalog import Catalog
    from retrieval.vectors.database.base import VectorDatabase


def open_vector_store(choice: StoreChoice | str, folder: Path) -> VectorStore:
    """The store at an address, or of a catalogue's choice; `folder` is the index's.

    Nothing is connected to before it is asked. Raises VectorStoreError where the address is none
    or the client that it needs is not installed.
    """
    if isinstance(choice, str):
        choice = StoreChoice.at(choice)
    if choice.address == FAISS:
        from retrieval.vectors.faiss.store import FaissStore

        return FaissStore(folder)
    from retrieval.vectors.database.store import DatabaseStore

    return DatabaseStore(_open_database(choice.address))


def store_of(catalog: Catalog, folder: Path) -> VectorStore:
    """The store that a catalogue names."""
    return open_vector_store(StoreChoice.of(catalog.vector_store), folder)


def reach_store(address: str) -> str:
    """The address as an index remembers it, without secrets, once the store has answered.

    So a mistyped one is told before anything is indexed. Raises VectorStoreError where the
    address is none, its client is not installed, or nothing answers there.
    """
    if address == FAISS:
        return address
    from retrieval.vectors.address import StoreAddress

    kept = StoreAddress.parse(address).text
    database = _open_database(kept)
    try:
        database.tables("")
    finally:
        database.close()
    return kept


def _open_database(text: str) -> VectorDatabase:
    from retrieval.vectors.address import MILVUS, StoreAddress

    address = StoreAddress.parse(text)
    try:
        if address.scheme == MILVUS:
            # Before gRPC loads, which otherwise tells people of each process that is started.
            os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
            from retrieval.vectors.database.milvus import MilvusDatabase

            return MilvusDatabase(address)
        from retrieval.vectors.database.pgvector import PgvectorDatabase

        return PgvectorDatabase(address)
    except ImportError as error:
        extra = "milvus" if address.scheme == MILVUS else "pgvector"
        raise VectorStoreError(
            f"The vector store at {address} needs the package {error.name}: "
            f"pip install 'mmsearch[{extra}]'.",
            code="vector-store-missing",
        ) from error
