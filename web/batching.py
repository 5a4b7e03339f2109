"""Questions that arrive together are answered together.

While a worker is busy, questions wait; the next worker takes all that wait. No question waits for
others to arrive, and each gets the very answer that it gets alone, as `search_many` promises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from retrieval.errors import MmsearchError
from retrieval.query.query import Query
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hits

# What is taken together is answered together: a bound on how long the first of them waits.
_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class _Waiting:
    engine: SearchEngine
    query: Query
    options: dict[str, Any]
    answer: Future[Hits]

    @property
    def alike(self) -> Hashable:
        """Equal for questions that one call can answer."""
        return (id(self.engine), tuple(sorted(self.options.items())))


class QuestionQueue:
    """Answers questions of many threads with few, several at a time."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or min(4, os.cpu_count() or 1)
        self._waiting: list[_Waiting] = []
        self._more = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def search(self, engine: SearchEngine, query: Query, **options: Any) -> Hits:
        """What `engine.search(query, **options)` gives or raises; waits for it."""
        asked = _Waiting(engine, query, options, Future())
        with self._more:
            if self._closed:
                raise MmsearchError("The server is ending.", code="busy")
            if len(self._threads) < self._workers:
                thread = threading.Thread(target=self._work, name="questions", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._waiting.append(asked)
            self._more.notify()
        return asked.answer.result()

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._more:
            self._closed = True
            self._more.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._more:
                while not self._waiting:
                    if self._closed:
                        return
                    self._more.wait()
                first = self._waiting[0].alike
                taken = [one for one in self._waiting if one.alike == first][:_AT_ONCE]
                chosen = set(map(id, taken))
                self._waiting = [one for one in self._waiting if id(one) not in chosen]
            _answer(taken)


def _answer(taken: list[_Waiting]) -> None:
    first = taken[0]
    try:
        found = first.engine.search_many([one.query for one in taken], **first.options)
    except BaseException as error:
        if len(taken) == 1:
            first.answer.set_exception(error)
            return
        # One of them is at fault: each alone, so that the others have their answers.
        for one in taken:
            _answer([one])
        return
    for one, hits in zip(taken, found, strict=True):
        one.answer.set_result(hits)
