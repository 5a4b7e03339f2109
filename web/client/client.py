"""The interface of `SearchEngine` over HTTP: the same questions, the same answers.

>>> with Client("http://127.0.0.1:8017") as engine:
...     for hit in engine.search("a dog on a beach", k=10):
...         print(hit.score, hit.path)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from retrieval.answering.base import Answer
from retrieval.answering.records import answer_from_record
from retrieval.arguments import check_count, check_offset, check_texts
from retrieval.encoders.base import Vectors
from retrieval.errors import MmsearchError
from retrieval.query.filters import Filter
from retrieval.query.parse import format_filter
from retrieval.query.query import Query
from retrieval.search.ask import Answered
from retrieval.search.engine import as_query
from retrieval.search.explain import Explanation
from retrieval.search.hit import Hit, Hits
from retrieval.search.pages import paged
from retrieval.search.records import hit_from_record
from retrieval.search.restrict import as_filter
from retrieval.storage.closing import Closing
from web.client import wire

if TYPE_CHECKING:
    import httpx

    from retrieval.query.query import Askable
    from retrieval.search.feedback import Marks
    from retrieval.search.question import SearchOptions
    from retrieval.search.similar import Picture
    from web.client.plain import PlainHttp

_TIMEOUT_S = 60.0
# What a server gives at once.
LARGEST_PAGE = 500
_AS_THEY_ARE = ("min_score", "rerank", "candidates", "fusion", "relevant", "fold", "match")


class Client(Closing):
    """Asks a server of mmsearch. Thread-safe.

    Methods take and give what those of `SearchEngine` do, and raise the same errors. Paths are
    those of the server's machine, save for pictures that are asked with, which are sent to it.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        timeout_s: float = _TIMEOUT_S,
        http: httpx.Client | PlainHttp | None = None,
    ) -> None:
        """`token`: what the server wants to be shown; `http`: a client of one's own, for proxies.

        `timeout_s`: how long the server may keep silent. Nothing is asked yet, so that a server
        may begin later.
        """
        self._http: Any = http or _http_of(address, token, timeout_s)

    def search(
        self,
        query: Askable | Query,
        k: int = 10,
        *,
        offset: int = 0,
        **options: Unpack[SearchOptions],
    ) -> Hits:
        """As `SearchEngine.search`."""
        return self.search_many([as_query(query)], k, offset=offset, **options)[0]

    def search_many(
        self,
        queries: Sequence[str | Query],
        k: int = 10,
        *,
        offset: int = 0,
        **options: Unpack[SearchOptions],
    ) -> list[Hits]:
        """As `SearchEngine.search_many`."""
        if isinstance(queries, str):
            check_texts(queries)
        asked = [as_query(query) for query in queries]
        check_count("k", k)
        check_offset(offset)
        return [self._search(query, k, offset, options) for query in asked]

    def iter_hits(
        self, query: Askable | Query, *, page: int = 100, **options: Unpack[SearchOptions]
    ) -> Iterator[Hit]:
        """As `SearchEngine.iter_hits`."""
        check_count("page", page)
        asked = as_query(query)
        return paged(
            lambda k, offset: self.search(asked, k, offset=offset, **options), page, LARGEST_PAGE
        )

    def browse(self, filter: Filter | str, k: int = 10, *, offset: int = 0) -> Hits:
        """As `SearchEngine.browse`."""
        check_count("k", k)
        record = {"filter": format_filter(as_filter(filter)), "k": k, "offset": offset}
        return self._hits(self._post("/api/search", record))

    def similar(self, picture: Picture, k: int = 10, *, offset: int = 0, **options: Any) -> Hits:
        """As `SearchEngine.similar`."""
        check_count("k", k)
        check_offset(offset)
        record = _options(options, None) | {"k": k, "offset": offset}
        if isinstance(picture, Hit | str | os.PathLike):
            record["picture"] = wire.picture_record(picture)
            try:
                return self._hits(self._post("/api/similar", record))
            except MmsearchError as error:
                if error.code != "not-indexed":
                    raise
        query = as_query(picture.path if isinstance(picture, Hit) else picture)
        return self.search(query, k, offset=offset, **options)

    def ask(self, question: str, picture: Picture) -> Answer:
        """As `SearchEngine.ask`, by the built-in answerer.

        Files that are not indexed, or not as they are now, are sent.
        """
        record: dict[str, Any] = {"question": question}
        if isinstance(picture, Hit | str | os.PathLike):
            try:
                asked = record | {"pictures": [wire.picture_record(picture)]}
                found = self._post("/api/ask", asked)["answers"][0]
                if found is not None:
                    return answer_from_record(found)
            except MmsearchError as error:
                if error.code not in ("not-indexed", "changed"):
                    raise
        source = as_query(_path_of(picture.path if isinstance(picture, Hit) else picture))
        name = self._upload(wire.picture_bytes(source.wanted[0].value))  # type: ignore[arg-type]
        return answer_from_record(self._post("/api/ask", record | {"upload": name})["answers"][0])

    def ask_results(self, question: str, query: str | None = None, k: int = 10) -> list[Answered]:
        """As `SearchEngine.ask_results`, by the built-in answerer."""
        check_count("k", k)
        record = {"question": question, "q": query, "k": k}
        found = self._post("/api/ask", record)
        return [
            Answered(hit, None if one is None else answer_from_record(one))
            for hit, one in zip(self._hits(found), found["answers"], strict=True)
        ]

    def explain(self, hit: Hit) -> Explanation | None:
        """As `SearchEngine.explain`."""
        return self.explain_many([hit])[0]

    def explain_many(self, hits: Sequence[Hit]) -> list[Explanation | None]:
        """As `SearchEngine.explain_many`."""
        asked = [
            {
                "id": hit.item_id,
                "question": hit.question,
                "similarity": hit.similarity,
                "reranker": hit.reranker,
            }
            for hit in hits
        ]
        found = self._post("/api/explain", {"hits": asked})["explanations"]
        return [
            None
            if one is None
            else Explanation(
                hit.item_id,
                tuple(one["words"]),
                np.array(one["heat"], np.float32),
                np.array(one["presence"], np.float32),
                tuple(one["found"]),
                one["score"],
                one["similarity"],
            )
            for hit, one in zip(hits, found, strict=True)
        ]

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """As `SearchEngine.embed_texts`."""
        check_texts(texts)
        return self._vectors({"texts": list(texts)})

    def embed_images(self, images: Sequence[Any]) -> Vectors:
        """As `SearchEngine.embed_images`; files are sent to the server."""
        if isinstance(images, str | os.PathLike):
            raise TypeError("Pictures are a list of paths or PIL images: put a single one in one.")
        terms = [as_query(_path_of(image)).wanted[0].value for image in images]
        names = [self._upload(wire.picture_bytes(term)) for term in terms]  # type: ignore[arg-type]
        return self._vectors({"uploads": names})

    def vectors_of(self, pictures: Sequence[Hit | str | os.PathLike[str]]) -> Vectors:
        """As `SearchEngine.vectors_of`."""
        return self._vectors({"pictures": wire.names_of(pictures)})

    def kept_marks(self, query: Askable | Query) -> Marks | None:
        """As `SearchEngine.kept_marks`."""
        from retrieval.search.feedback import Marks, key_of

        words = key_of(as_query(query))
        if words is None:
            return None
        kept = self._ask("GET", "/api/feedback", params={"q": words})
        marks = Marks(tuple(kept["right"]), tuple(kept["wrong"]))
        return marks if marks else None

    def count_undated(self) -> int:
        """As `SearchEngine.count_undated`."""
        return int(self._get("/api/timeline")["undated"])

    def status(self) -> dict[str, Any]:
        """What the server says of itself and its index."""
        return self._get("/api/status")

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    # -- inside -------------------------------------------------------------------------------

    def _search(self, query: Query, k: int, offset: int, options: SearchOptions) -> Hits:
        record = wire.question_record(query, self._upload)
        record |= _options(dict(options), query.filter)
        record |= {"k": k, "offset": offset}
        record.setdefault("fold", False)
        return self._hits(self._post("/api/search", record))

    def _hits(self, answer: dict[str, Any]) -> Hits:
        return Hits(hit_from_record(record) for record in answer["hits"])

    def _vectors(self, asked: dict[str, Any]) -> Vectors:
        answer = self._post("/api/vectors", asked)
        return np.array(answer["vectors"], np.float32).reshape(-1, answer["dim"])

    def _upload(self, data: bytes) -> str:
        headers = {"content-type": "image/*"}
        return str(self._ask("POST", "/api/uploads", content=data, headers=headers)["upload"])

    def _get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path)

    def _post(self, path: str, record: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=record)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except Exception as error:
            if not _is_of_the_network(error):
                raise
            raise MmsearchError(
                f"The server does not answer ({error}): is it running?", code="no-server"
            ) from error
        try:
            told: dict[str, Any] = answer.json()
        except ValueError as error:
            raise MmsearchError(
                "What answers there is no mmsearch server.", code="no-server"
            ) from error
        if answer.is_error:
            raise wire.error_of(told, answer.status_code)
        return told


def _http_of(address: str, token: str | None, timeout_s: float) -> httpx.Client:
    # Here, since it takes as long to load as all else that a question to a server needs.
    import httpx

    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=address, headers=headers, timeout=timeout_s, trust_env=False)


def _is_of_the_network(error: Exception) -> bool:
    """Whether nobody answers; httpx has errors of its own for that."""
    if isinstance(error, OSError):
        return True
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, httpx.HTTPError)


def _options(options: dict[str, Any], own: Filter | None) -> dict[str, Any]:
    conditions = wire.condition_record(
        options.pop("filter", None),
        own,
        options.pop("within", None),
        options.pop("after", None),
        options.pop("before", None),
    )
    record = {name: options.pop(name) for name in _AS_THEY_ARE if name in options}
    diverse = options.pop("diverse", False)
    if diverse is not False:
        record["diverse"] = diverse
    record |= wire.feedback_record(options.pop("feedback", "kept"))
    if options:
        raise TypeError(f"There is no option {next(iter(options))!r}.")
    return record | conditions


def _path_of(image: Any) -> Any:
    from pathlib import Path

    return Path(image) if isinstance(image, str) else image
