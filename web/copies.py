"""Copies among the pictures, looked for once for each state of the index."""

from __future__ import annotations

import logging
import threading
from typing import Any

from retrieval.errors import MmsearchError
from retrieval.organise.copy_groups import CopyGroup
from retrieval.search.engine import SearchEngine

_LOG = logging.getLogger("mmsearch.web")


class Copies:
    """Groups of copies, found in a thread of their own. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looking: _Looking | None = None

    def look(self, engine: SearchEngine) -> tuple[dict[str, Any], tuple[CopyGroup, ...]]:
        """How far the search is, as JSON takes it, and the groups, none until it is over."""
        generation = engine.index.reader.generation
        with self._lock:
            looking = self._looking
            if looking is None or (looking.is_over and looking.generation != generation):
                self._looking = looking = _Looking(engine, generation)
                looking.start()
        return looking.state(), looking.groups

    def close(self) -> None:
        """End a search that is on, and wait for its end."""
        with self._lock:
            looking = self._looking
        if looking is not None:
            looking.stop()


class _Stopped(Exception):  # noqa: N818
    """The server is ending."""


class _Looking(threading.Thread):
    def __init__(self, engine: SearchEngine, generation: int) -> None:
        # Not a daemon: cut off inside ONNX Runtime at the program's end, it would abort it.
        super().__init__(name="copies")
        self.generation = generation
        self.groups: tuple[CopyGroup, ...] = ()
        self.is_over = False
        self._engine = engine
        self._done = 0
        self._total = 0
        self._error: str | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End at the next step, and wait for it."""
        self._stopped.set()
        self.join()

    def state(self) -> dict[str, Any]:
        state = "running" if not self.is_over else "failed" if self._error else "done"
        return {"state": state, "done": self._done, "total": self._total, "error": self._error}

    def run(self) -> None:
        try:
            self.groups = self._engine.duplicates(progress=self._tell).groups
        except _Stopped:
            self._error = "The server is ending."
        except MmsearchError as error:
            self._error = str(error)
        except Exception as error:
            _LOG.error("Looking for copies failed", exc_info=error)
            self._error = "Looking for copies failed; the server's log says why."
        self.is_over = True

    def _tell(self, _what: str, done: int, total: int) -> None:
        self._done, self._total = done, total
        if self._stopped.is_set():
            raise _Stopped
