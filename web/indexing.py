"""Indexing in the background of a server: one run at a time, watched while it goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import IndexBusyError, MmsearchError
from retrieval.storage.closing import Closing

if TYPE_CHECKING:
    from indexer.report import IndexReport

_LOG = logging.getLogger("mmsearch.web")


class IndexingJob:
    """One run. As an `indexer.report.Progress` it is told how far the run is."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.state = "running"
        self.done = 0
        self.total: int | None = None
        self.report: IndexReport | None = None
        self.error: MmsearchError | None = None
        self.stop = threading.Event()
        self._started_at = datetime.now(UTC)
        self._started_s = time.monotonic()
        self._ended_s: float | None = None

    def start(self, total: int) -> None:
        """`total` files are to be read."""
        self.total = (self.total or 0) + total

    def advance(self, files: int) -> None:
        """So many more are done."""
        self.done += files

    def finish(self) -> None:
        """Nothing: a run has several parts."""

    def end(self, state: str) -> None:
        """The run is over."""
        self._ended_s = time.monotonic()
        self.state = state

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._ended_s is not None

    def record(self) -> dict[str, Any]:
        """How it stands, as JSON takes it."""
        elapsed_s = (self._ended_s or time.monotonic()) - self._started_s
        state = "stopping" if self.stop.is_set() and not self.is_over else self.state
        report = None
        if self.report is not None:
            report = asdict(self.report)
            report["absent_roots"] = [str(root) for root in self.report.absent_roots]
        return {
            "state": state,
            "paths": [str(path) for path in self.paths],
            "done": self.done,
            "total": self.total,
            "rate": round(self.done / elapsed_s, 2) if elapsed_s > 0 else 0.0,
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "elapsed_s": round(elapsed_s, 2),
            "report": report,
            "error": None
            if self.error is None
            else {"code": self.error.code, "message": str(self.error)},
        }


class IndexingJobs(Closing):
    """The run of one index, and the last one. Thread-safe."""

    def __init__(self, index_dir: Path) -> None:
        self._index_dir = index_dir
        self._job: IndexingJob | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def job(self) -> IndexingJob | None:
        """The run that goes on, else the last one; None where there was none."""
        return self._job

    def start(self, paths: Sequence[Path], exclude: Sequence[str] = ()) -> IndexingJob:
        """Begin a run. Raises IndexBusyError while another goes on."""
        with self._lock:
            if self._job is not None and not self._job.is_over:
                raise IndexBusyError("The index is being written already: stop that run first.")
            self._job = job = IndexingJob(paths)
            self._thread = threading.Thread(
                target=self._run, args=(job, list(exclude)), name="indexing"
            )
            self._thread.start()
            return job

    def stop(self) -> IndexingJob | None:
        """Let the run end between two batches; what is done is kept."""
        job = self._job
        if job is not None and not job.is_over:
            job.stop.set()
        return job

    def close(self) -> None:
        """Stop the run and wait for its end."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _run(self, job: IndexingJob, exclude: Sequence[str]) -> None:
        # Here, since a server that only answers does without.
        from indexer.pipeline.run import index_folders

        try:
            job.report = index_folders(
                job.paths, self._index_dir, exclude=exclude, progress=job, stop=job.stop
            )
            job.end("stopped" if job.report.interrupted else "done")
        except MmsearchError as error:
            job.error = error
            job.end("failed")
        except Exception as error:
            _LOG.error("Indexing failed", exc_info=error)
            job.error = MmsearchError("Indexing failed; the server's log says why.")
            job.end("failed")
