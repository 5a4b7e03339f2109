"""Vectors in Milvus: a server or cluster, or Milvus Lite, which keeps a file in this process.

A table is a collection that is divided by the pictures' roots as its partition key. A server gives
it a graph as its index (Malkov and Yashunin, Efficient and robust approximate nearest neighbor
search using hierarchical navigable small world graphs, PAMI 2018). Milvus Lite compares with every
vector: its graph loses what a narrow restriction leaves, where a server scans that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from retrieval.encoders.base import Vectors
from retrieval.errors import VectorStoreError
from retrieval.vectors.address import StoreAddress
from retrieval.vectors.base import Halves, Ids
from retrieval.vectors.database.expressions import id_expression

# Milvus finds no more at once, and answers with no more rows.
_MOST_FOUND = 16_384
_ROWS_A_CALL = 4_096
_PARTITIONS = 16
_LINKS, _BUILD_BEAM, _BEAM = 32, 200, 128
_LONGEST_STATE = 65_535
_TIMEOUT_S = 120.0
# It logs what it raises, tracebacks and addresses included.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
# Milvus Lite leaves out calls that its client can do without, and gRPC tells each as a fault.
logging.getLogger("grpc._server").setLevel(logging.CRITICAL)


class MilvusDatabase:
    """Collections of one Milvus (a `VectorDatabase`). Connects when it is first asked."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._client: MilvusClient | None = None
        self._open: set[str] = set()
        self._lock = threading.RLock()

    @property
    def place(self) -> str:
        """Its address, without secrets."""
        return self._address.text

    @property
    def kind(self) -> str:
        """How a collection is searched."""
        return "FLAT" if self._address.file else f"HNSW{_LINKS}"

    def tables(self, name: str) -> list[str]:
        """The collections whose names begin with `name`."""
        with self._asking() as client:
            return [table for table in client.list_collections() if table.startswith(name)]

    def create(self, table: str, dim: int) -> None:
        """Make an empty collection."""
        with self._asking() as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("root", DataType.INT64, is_partition_key=True)
            # Not halves, which Milvus Lite does not know.
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            indexes = client.prepare_index_params()
            if self._address.file:
                indexes.add_index("vector", index_type="FLAT", metric_type="IP")
            else:
                indexes.add_index(
                    "vector",
                    index_type="HNSW",
                    metric_type="IP",
                    params={"M": _LINKS, "efConstruction": _BUILD_BEAM},
                )
            client.create_collection(
                table, schema=schema, index_params=indexes, num_partitions=_PARTITIONS
            )

    def drop(self, table: str) -> None:
        """Drop a collection, if it is there."""
        with self._asking() as client:
            self._open.discard(table)
            client.drop_collection(table)

    def put(self, table: str, ids: Ids, roots: Ids, vectors: Halves) -> None:
        """Add vectors, float32 in the collection."""
        with self._asking() as client:
            for start in range(0, len(ids), _ROWS_A_CALL):
                some = slice(start, start + _ROWS_A_CALL)
                rows = [
                    {"id": id_, "root": root, "vector": vector}
                    for id_, root, vector in zip(
                        ids[some].tolist(),
                        roots[some].tolist(),
                        vectors[some].astype(np.float32),
                        strict=True,
                    )
                ]
                client.insert(table, rows, timeout=_TIMEOUT_S)

    def remove(self, table: str, ids: Ids) -> None:
        """Drop those of the ids that are there."""
        with self._asking() as client:
            for start in range(0, len(ids), _ROWS_A_CALL):
                some = ids[start : start + _ROWS_A_CALL].tolist()
                client.delete(table, ids=some, timeout=_TIMEOUT_S)

    def settle(self, table: str, count: int) -> None:
        """Have the collection's last rows written to its storage, and its graph made."""
        with self._asking() as client:
            client.flush(table, timeout=_TIMEOUT_S)

    def search(
        self,
        table: str,
        queries: Vectors,
        k: int,
        *,
        within: Ids | None,
        without: Ids | None,
        roots: tuple[int, ...] | None,
    ) -> tuple[Vectors, Ids]:
        """The k nearest, 16,384 at most; restrictions go as an expression."""
        k = min(k, _MOST_FOUND)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        with self._asking() as client:
            self._be_open(client, table)
            found = client.search(
                table,
                list(queries),
                filter=id_expression(within, without, roots),
                limit=k,
                output_fields=["id"],
                search_params={"metric_type": "IP", "params": self._effort(k)},
                timeout=_TIMEOUT_S,
            )
        for row, hits in enumerate(found):
            scores[row, : len(hits)] = [hit["distance"] for hit in hits]
            ids[row, : len(hits)] = [hit["id"] for hit in hits]
        return scores, ids

    def ids(self, table: str) -> Ids:
        """All ids of a collection."""
        found: list[int] = []
        with self._asking() as client:
            self._be_open(client, table)
            pages = client.query_iterator(
                table, batch_size=_MOST_FOUND, filter="id >= 0", output_fields=["id"]
            )
            try:
                while page := pages.next():
                    found += [row["id"] for row in page]
            finally:
                pages.close()
        return np.array(found, dtype=np.int64)

    def vectors_of(self, table: str, ids: Ids) -> tuple[Ids, Halves]:
        """Those of the ids that are there, ascending, with their vectors."""
        found: dict[int, Any] = {}
        with self._asking() as client:
            self._be_open(client, table)
            for start in range(0, len(ids), _ROWS_A_CALL):
                rows = client.get(
                    table,
                    ids=ids[start : start + _ROWS_A_CALL].tolist(),
                    output_fields=["id", "vector"],
                )
                found.update((row["id"], row["vector"]) for row in rows)
            dim = self._dim(client, table)
        held = np.array(sorted(found), dtype=np.int64)
        vectors = np.array([found[id_] for id_ in held.tolist()], dtype=np.float16)
        return held, vectors.reshape(len(held), dim)

    def read_state(self, name: str) -> str | None:
        """The text in a small collection of that name."""
        with self._asking() as client:
            if not client.has_collection(name):
                return None
            client.load_collection(name)
            rows = client.query(name, filter="id == 0", output_fields=["text"], **self._present)
            return str(rows[0]["text"]) if rows else None

    def write_state(self, name: str, text: str) -> None:
        """Keep a text in a small collection of that name, made where it is missing."""
        with self._asking() as client:
            if not client.has_collection(name):
                schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
                schema.add_field("id", DataType.INT64, is_primary=True)
                schema.add_field("text", DataType.VARCHAR, max_length=_LONGEST_STATE)
                # Milvus has no collection without vectors.
                schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)
                indexes = client.prepare_index_params()
                indexes.add_index("nothing", index_type="FLAT", metric_type="IP")
                client.create_collection(name, schema=schema, index_params=indexes)
            client.upsert(name, [{"id": 0, "text": text, "nothing": [0.0, 1.0]}])

    def close(self) -> None:
        """Let go of the connection, and of a file."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
                self._open.clear()
                _let_go(self._address)

    def _effort(self, k: int) -> dict[str, int]:
        return {} if self._address.file else {"ef": max(_BEAM, k)}

    @property
    def _present(self) -> dict[str, str]:
        """What has a server's answer wait for all that was written; a file is never behind."""
        return {} if self._address.file else {"consistency_level": "Strong"}

    def _be_open(self, client: MilvusClient, table: str) -> None:
        """Have a collection ready to be searched as it was last written.

        The strong question waits until what was written has reached the searching nodes; those
        after it need not wait.
        """
        if table not in self._open:
            client.load_collection(table)
            client.query(table, filter="id == 0", output_fields=["id"], **self._present)
            self._open.add(table)

    def _dim(self, client: MilvusClient, table: str) -> int:
        fields = client.describe_collection(table)["fields"]
        return int(next(one["params"]["dim"] for one in fields if one["name"] == "vector"))

    @contextmanager
    def _asking(self) -> Iterator[MilvusClient]:
        try:
            yield self._connected()
        except MilvusException as error:
            # Its texts name addresses at times, and the account at others: only the number.
            raise VectorStoreError(
                f"The vector store at {self.place} {_in_words(error)}.", place=self.place
            ) from None
        except (OSError, ValueError) as error:
            raise VectorStoreError(
                f"The vector store at {self.place} cannot be used ({type(error).__name__}).",
                place=self.place,
            ) from None

    def _connected(self) -> MilvusClient:
        with self._lock:
            if self._client is None:
                self._client = _connect(self._address)
            return self._client


# Milvus Lite serves a file for all clients of a process, and lets go of it when it is told to.
_users: dict[str, int] = {}
_users_lock = threading.Lock()


def _connect(address: StoreAddress) -> MilvusClient:
    file = address.file
    if file is None:
        # A name with the password, or the password alone, which then is a token.
        access = {"user": address.user, "password": address.secret or ""}
        if not address.user:
            access = {"token": address.secret or ""}
        return MilvusClient(
            uri=address.http_url, db_name=address.database or "", timeout=10, **access
        )
    if not file.parent.is_dir():
        raise VectorStoreError(f"There is no folder {file.parent}: make it first.")
    with _users_lock:
        client = MilvusClient(uri=str(file))
        _users[str(file)] = _users.get(str(file), 0) + 1
    return client


def _let_go(address: StoreAddress) -> None:
    file = address.file
    if file is None:
        return
    from milvus_lite.server_manager import server_manager_instance

    with _users_lock:
        _users[str(file)] -= 1
        if not _users[str(file)]:
            del _users[str(file)]
            server_manager_instance.release_server(str(file))


def _in_words(error: MilvusException) -> str:
    text = str(error)
    if "Open local milvus failed" in text:
        return "cannot be opened, or another process has it open"
    if "auth" in text.lower() or "permission" in text.lower():
        return "does not let this account in"
    if "connect" in text.lower() or "unavailable" in text.lower() or "deadline" in text.lower():
        return "does not answer"
    return f"refuses (its error {error.code})"
