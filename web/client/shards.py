"""Several servers asked as one: each holds a part of the pictures.

All are asked at once, and their answers are merged by how near they are. What a server that does
not answer would have said is missing from the answers, which say so.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from retrieval.arguments import check_count, check_offset
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.query.query import Embedding, Query, Term
from retrieval.search.engine import as_query
from retrieval.search.hit import Hit, Hits
from retrieval.storage.closing import Closing
from web.client.client import LARGEST_PAGE, Client

if TYPE_CHECKING:
    from retrieval.encoders.base import Vectors
    from retrieval.query.filters import Filter
    from retrieval.query.query import Askable
    from retrieval.search.explain import Explanation
    from retrieval.search.question import SearchOptions
    from retrieval.search.similar import Picture

T = TypeVar("T")
# Where a server is not there, does not answer in time, or has too much to do.
_AWAY = frozenset({"no-server", "busy", "too-many"})
_PATIENCE_S = 10.0


class ShardHits(Hits):
    """Answers of several servers; `missing` names those that gave none."""

    def __init__(self, hits: Sequence[Hit] = (), missing: Sequence[str] = ()) -> None:
        super().__init__(hits)
        self.missing = tuple(missing)


class ShardedClient(Closing):
    """Asks several servers of mmsearch as one. Thread-safe.

    The indexes have to be of one model, which is looked at when a server first answers. Hits say
    in `shard` whose they are; ids are only each server's own. Answers are those of one index of
    all pictures where the pictures alone are asked (`match="pictures"`); how rare a word is, copies
    that are folded and what `diverse` keeps apart are seen within a server. A reranker is used only
    where it is named, and orders the answers of each server, not those of one against another's.
    """

    def __init__(
        self,
        shards: Mapping[str, str] | Sequence[str],
        *,
        token: str | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """`shards`: addresses, or addresses by the names of the servers.

        `patience_s`: how long a server is waited for. Nothing is asked yet.
        """
        named = shards if isinstance(shards, Mapping) else {one: one for one in shards}
        if not named:
            raise ValueError("At least one server is needed.")
        self._clients = {
            name: Client(address, token=token, timeout_s=patience_s)
            for name, address in named.items()
        }
        self._spaces: dict[str, tuple[str, str]] = {}
        self._pool = ThreadPoolExecutor(len(named), thread_name_prefix="shard")

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of the servers."""
        return tuple(self._clients)

    def search(
        self,
        query: Askable | Query,
        k: int = 10,
        *,
        offset: int = 0,
        **options: Unpack[SearchOptions],
    ) -> ShardHits:
        """As `SearchEngine.search`. Raises MmsearchError where no server answers at all."""
        check_count("k", k)
        check_offset(offset)
        asked = as_query(query)
        options.setdefault("rerank", "off")
        return self._merged(lambda client, n: client.search(asked, n, **options), k, offset, _near)

    def search_many(
        self,
        queries: Sequence[str | Query],
        k: int = 10,
        *,
        offset: int = 0,
        **options: Unpack[SearchOptions],
    ) -> list[ShardHits]:
        """As `SearchEngine.search_many`."""
        return [self.search(query, k, offset=offset, **options) for query in queries]

    def iter_hits(
        self, query: Askable | Query, *, page: int = 100, **options: Unpack[SearchOptions]
    ) -> Iterator[Hit]:
        """As `SearchEngine.iter_hits`."""
        check_count("page", page)
        asked = as_query(query)
        seen: set[tuple[str | None, int]] = set()
        offset = 0
        while offset < LARGEST_PAGE:
            hits = self.search(asked, min(page, LARGEST_PAGE - offset), offset=offset, **options)
            if not hits:
                return
            for hit in hits:
                if (hit.shard, hit.item_id) not in seen:
                    seen.add((hit.shard, hit.item_id))
                    yield hit
            offset += page

    def browse(self, filter: Filter | str, k: int = 10, *, offset: int = 0) -> ShardHits:
        """As `SearchEngine.browse`, the newest first."""
        check_count("k", k)
        check_offset(offset)
        return self._merged(lambda client, n: client.browse(filter, n), k, offset, _new)

    def similar(
        self, picture: Picture, k: int = 10, *, offset: int = 0, **options: Any
    ) -> ShardHits:
        """As `SearchEngine.similar`; an answer is compared with the pictures of all servers."""
        if not isinstance(picture, Hit):
            return self.search(as_query(picture), k, offset=offset, **options)
        vector = self.vectors_of([picture])[0]
        found = self.search(Query((Term(Embedding.of(vector)),)), k + offset + 1, **options)
        others = [
            hit for hit in found if (hit.shard, hit.item_id) != (picture.shard, picture.item_id)
        ]
        kept = others[offset : offset + k]
        ranked = [replace(hit, rank=offset + place) for place, hit in enumerate(kept, 1)]
        return ShardHits(ranked, found.missing)

    def explain(self, hit: Hit) -> Explanation | None:
        """As `SearchEngine.explain`, by the server of the hit."""
        return self._of(hit).explain(hit)

    def explain_many(self, hits: Sequence[Hit]) -> list[Explanation | None]:
        """As `SearchEngine.explain_many`."""
        return [self.explain(hit) for hit in hits]

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """As `SearchEngine.embed_texts`, by the first server that answers."""
        return self._any(lambda client: client.embed_texts(texts))

    def embed_images(self, images: Sequence[Any]) -> Vectors:
        """As `SearchEngine.embed_images`, by the first server that answers."""
        return self._any(lambda client: client.embed_images(images))

    def vectors_of(self, hits: Sequence[Hit]) -> Vectors:
        """The vectors, (n, dim), of answers, each from its own server."""
        import numpy as np

        return np.concatenate([self._of(hit).vectors_of([hit]) for hit in hits])

    def count_undated(self) -> int:
        """As `SearchEngine.count_undated`, of the servers that answer."""
        found, _ = self._all(lambda client: client.count_undated())
        return sum(found.values())

    def status(self) -> dict[str, dict[str, Any] | None]:
        """What each server says of itself; None of one that does not answer."""
        found, _ = self._all(lambda client: client.status())
        return {name: found.get(name) for name in self._clients}

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    # -- inside -------------------------------------------------------------------------------

    def _merged(
        self,
        ask: Callable[[Client, int], Hits],
        k: int,
        offset: int,
        key: Callable[[Hit], Any],
    ) -> ShardHits:
        wanted = k + offset
        if wanted > LARGEST_PAGE:
            raise ValueError(f"The answers beyond the {LARGEST_PAGE}th cannot be had of servers.")
        away = self._check_spaces()
        found, missing = self._all(lambda client: ask(client, wanted), away)
        # Each server's own order is kept: what goes before a higher score has its reasons.
        parts = [[replace(hit, shard=name) for hit in hits] for name, hits in sorted(found.items())]
        merged = list(_in_order(parts, key))[offset:wanted]
        ranked = [replace(hit, rank=offset + place) for place, hit in enumerate(merged, 1)]
        return ShardHits(ranked, missing)

    def _all(
        self, ask: Callable[[Client], T], away: Sequence[str] = ()
    ) -> tuple[dict[str, T], list[str]]:
        """What the servers answer, by name, and the names of those that do not.

        `away` are not asked. Raises what a server raises, and MmsearchError where none answers.
        """
        waiting = {
            name: self._pool.submit(ask, client)
            for name, client in self._clients.items()
            if name not in away
        }
        found: dict[str, T] = {}
        missing = list(away)
        for name, answer in waiting.items():
            try:
                found[name] = answer.result()
            except MmsearchError as error:
                if error.code not in _AWAY:
                    raise
                missing.append(name)
        if not found:
            raise MmsearchError(
                f"None of the servers {', '.join(missing)} answers.", code="no-server"
            )
        return found, sorted(missing)

    def _check_spaces(self) -> list[str]:
        """Look at the models of servers that have not said theirs; returns those that are away."""
        known = set(self._spaces)
        unknown = [name for name in self._clients if name not in known]
        if not unknown:
            return []
        try:
            told, away = self._all(lambda client: client.status(), sorted(known))
        except MmsearchError as error:
            if error.code not in _AWAY or not known:
                raise
            return unknown
        for name, status in told.items():
            own = (str(status["model"]), str(status["fingerprint"]))
            for other, space in self._spaces.items():
                if space[1] != own[1]:
                    raise EncoderMismatchError(
                        f"The index of {name} was made with {own[0]}, that of {other} with "
                        f"{space[0]}: their vectors do not compare.",
                        code="shard-mismatch",
                    )
            self._spaces = {**self._spaces, name: own}
        return [name for name in away if name not in known]

    def _any(self, ask: Callable[[Client], T]) -> T:
        for client in self._clients.values():
            try:
                return ask(client)
            except MmsearchError as error:
                if error.code not in _AWAY:
                    raise
        raise MmsearchError("None of the servers answers.", code="no-server")

    def _of(self, hit: Hit) -> Client:
        client = self._clients.get(hit.shard or "")
        if client is None:
            raise ValueError(f"The answer {hit.path} is of none of these servers.")
        return client


def _in_order(parts: Sequence[Sequence[Hit]], key: Callable[[Hit], Any]) -> Iterator[Hit]:
    """Lists merged by the key, the largest first; within each the order stays."""
    heads = [(_Descending(key(hits[0])), place, 0) for place, hits in enumerate(parts) if hits]
    heapq.heapify(heads)
    while heads:
        _, place, row = heads[0]
        yield parts[place][row]
        if row + 1 < len(parts[place]):
            following = _Descending(key(parts[place][row + 1]))
            heapq.heapreplace(heads, (following, place, row + 1))
        else:
            heapq.heappop(heads)


class _Descending:
    """A key that sorts the other way round."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other._value < self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(other._value == self._value)


def _near(hit: Hit) -> float:
    return hit.similarity + hit.word_score


def _new(hit: Hit) -> datetime:
    return hit.taken_at or datetime.min
