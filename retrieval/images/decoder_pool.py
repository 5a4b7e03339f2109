"""Processes that decode, which may die without taking the run with them.

Each file has a limit of time and of memory; one that kills its process is tried once more with
nothing beside it, and then is a failure like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from retrieval.errors import ImageError, MmsearchError
from retrieval.images.byte_budget import ByteBudget
from retrieval.images.facts import ImageMetadata
from retrieval.images.preprocess import Preprocessing
from retrieval.images.worker import (
    DecodingLimits,
    receive_exactly,
    receive_header,
    send,
)

if TYPE_CHECKING:
    from retrieval.images.decode import DecodedImage

# What all pictures that are being decoded may take together; a larger one is decoded alone.
PIXEL_BUDGET_BYTES = 384 * 2**20
# A process takes some 30 MB, and a handful of them outrun any encoder that runs on the same cores.
_MAX_PROCESSES = 8
# What a process may use without asking.
_SHARE_BYTES = 64 * 2**20
# The processor time of a file is limited in the process; this is for one that waits for ever, and
# is long, since a busy machine may give a process little of its time.
_WALL_S_A_CPU_S = 10
_WATCH_EVERY_S = 0.25
_START = (
    "import json, sys\n"
    "settings = json.loads(sys.argv[1])\n"
    "sys.path[:] = settings['path']\n"
    "from retrieval.images.worker import DecodingLimits, main\n"
    "main(DecodingLimits(**settings['limits']))"
)

T = TypeVar("T")


class DecoderPool:
    """Decodes for any number of threads, in processes that start when they are first needed."""

    def __init__(self, processes: int | None = None, limits: DecodingLimits | None = None) -> None:
        self.processes = processes or min(_MAX_PROCESSES, max(2, os.cpu_count() or 2))
        self.deaths = 0
        self._limits = limits or DecodingLimits()
        self._budget = ByteBudget(PIXEL_BUDGET_BYTES)
        self._share_bytes = min(_SHARE_BYTES, PIXEL_BUDGET_BYTES // self.processes)
        self._places = threading.Semaphore(self.processes)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def start(self) -> None:
        """Start the first process ahead of the first file, without waiting for it."""
        with self._lock:
            if not self._idle and not self._busy and not self._closed.is_set():
                self._idle.append(_Process(self._limits))

    def decode(self, data: bytes, preprocessing: Preprocessing) -> DecodedImage:
        """As `retrieval.images.decode.decode`, with the file's metadata, in another process.

        Raises ImageError as that does, and of kind `timeout` or `crashed` where the file keeps
        a process too long or ends it. Raises MmsearchError where no process can be started.
        """

        def attempt(memory_bytes: int, get_process: Callable[[], _Process]) -> DecodedImage:
            return self._decode_in(data, preprocessing, memory_bytes, get_process)

        return self._twice(attempt)

    def read_metadata(self, data: bytes) -> ImageMetadata:
        """As `retrieval.images.metadata.read_metadata`, in another process. Raises as `decode`."""

        def attempt(memory_bytes: int, get_process: Callable[[], _Process]) -> ImageMetadata:
            with self._borrowed(get_process) as process, self._budget.hold(memory_bytes):
                header = {"preprocessing": None, "memory_bytes": memory_bytes}
                answer, _ = process.ask(header, data)
                return process.metadata(answer)

        return self._twice(attempt)

    def read_in_parts(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The parts of the answer of a request's `reader`, see `retrieval.images.worker`.

        The process is one's own until the last part; whoever stops before it ends the process.
        Raises as `decode`; after the first part, what ends the process is not tried again.
        """
        is_first = True
        try:
            for part in self._parts_from(request, self._share_bytes, self._idle_process):
                is_first = False
                yield part
            return
        except _ProcessDiedError as death:
            if death.was_too_slow:
                raise self._too_slow() from death
            if not is_first:
                raise ImageError("crashed", f"decoding it ends the decoder ({death})") from death
        try:
            yield from self._parts_from(request, PIXEL_BUDGET_BYTES, self._fresh_process)
        except _ProcessDiedError as death:
            if death.was_too_slow:
                raise self._too_slow() from death
            raise ImageError("crashed", f"decoding it ends the decoder ({death})") from death

    def _parts_from(
        self, request: dict[str, Any], memory_bytes: int, get_process: Callable[[], _Process]
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        with self._borrowed(get_process) as process:
            has_more = True
            while has_more:
                with self._budget.hold(memory_bytes):
                    answer, length = process.ask(request)
                    payload = process.receive(length)
                if "kind" in answer:
                    raise ImageError(answer["kind"], answer["reason"])
                has_more = bool(answer.get("more"))
                request = {}
                yield answer, payload

    def _twice(self, attempt: Callable[[int, Callable[[], _Process]], T]) -> T:
        """What an attempt gives; one that ends its process is made once more, alone."""
        try:
            return attempt(self._share_bytes, self._idle_process)
        except _ProcessDiedError as death:
            if death.was_too_slow:
                raise self._too_slow() from death
        # It may have died of what was decoded beside it, or before it in the same process.
        try:
            return attempt(PIXEL_BUDGET_BYTES, self._fresh_process)
        except _ProcessDiedError as death:
            if death.was_too_slow:
                raise self._too_slow() from death
            raise ImageError("crashed", f"decoding it ends the decoder ({death})") from death

    def close(self) -> None:
        """End all processes, what they decode now included."""
        self._closed.set()
        with self._lock:
            processes = [*self._idle, *self._busy]
            self._idle.clear()
        for process in processes:
            process.kill()

    def _decode_in(
        self,
        data: bytes,
        preprocessing: Preprocessing,
        memory_bytes: int,
        get_process: Callable[[], _Process],
    ) -> DecodedImage:
        header = {"preprocessing": asdict(preprocessing), "memory_bytes": memory_bytes}
        with self._borrowed(get_process) as process:
            with self._budget.hold(memory_bytes):
                answer, length = process.ask(header, data)
            if "needs_bytes" in answer:
                with self._budget.hold(answer["needs_bytes"]):
                    answer, length = process.ask({})
            if "kind" in answer:
                raise ImageError(answer["kind"], answer["reason"])
            return process.receive_image(answer, length, preprocessing.size_px)

    @contextmanager
    def _borrowed(self, get_process: Callable[[], _Process]) -> Iterator[_Process]:
        """A process of one's own for the length of the block."""
        with self._places:
            with self._lock:
                self._require_open()
                process = get_process()
                self._busy.add(process)
                if self._watch is None:
                    self._watch = threading.Thread(target=self._watch_over, daemon=True)
                    self._watch.start()
            has_answered = False
            try:
                process.wait_until_ready()
                yield process
                has_answered = True
            except ImageError:
                has_answered = True
                raise
            except (_ProcessDiedError, MmsearchError):
                # Those that `close` ended say nothing about their file.
                self._require_open()
                raise
            finally:
                with self._lock:
                    self._busy.discard(process)
                    if has_answered and not self._closed.is_set():
                        self._idle.append(process)
                    else:
                        self.deaths += not self._closed.is_set()
                        process.kill()

    def _idle_process(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
        return _Process(self._limits)

    def _fresh_process(self) -> _Process:
        # In the place of an idle one, so that there are no more than there should be.
        if self._idle:
            self._idle.pop().kill()
        return _Process(self._limits)

    def _watch_over(self) -> None:
        while not self._closed.wait(_WATCH_EVERY_S):
            with self._lock:
                busy = list(self._busy)
            for process in busy:
                process.kill_if_overdue()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ImageError("unreadable", "the run was interrupted")

    def _too_slow(self) -> ImageError:
        return ImageError("timeout", f"decoding it takes more than {self._limits.cpu_s} seconds")


class _ProcessDiedError(Exception):
    """The process ended in the middle of a file."""

    def __init__(self, how: str, was_too_slow: bool) -> None:
        super().__init__(how)
        self.was_too_slow = was_too_slow


class _Process:
    """One decoding process and the two pipes to it; for one thread at a time."""

    def __init__(self, limits: DecodingLimits) -> None:
        settings = {"path": _module_path(), "limits": asdict(limits)}
        self._allowed_s = _WALL_S_A_CPU_S * limits.cpu_s
        self._deadline_s: float | None = None
        self._is_overdue = False
        self._is_ready = False
        # In a group of its own, so that Ctrl-C reaches only the run, which then ends it.
        group: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"process_group": 0}
        )
        try:
            # Isolated and without `site`: it starts faster, and finds modules where this one does.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                **group,
            )
        except OSError as error:
            raise MmsearchError(
                f"No process for decoding can be started ({error.strerror})."
            ) from error
        self._requests = cast(BinaryIO, self._process.stdin)
        self._replies = cast(BinaryIO, self._process.stdout)

    def wait_until_ready(self) -> None:
        """Wait until it has started; what it starts with is the same for all files."""
        if self._is_ready:
            return
        try:
            receive_header(self._replies)
        except (EOFError, ValueError) as error:
            raise MmsearchError(
                f"The process that decodes pictures ends as it starts ({self._how_it_ended()})."
            ) from error
        self._is_ready = True

    def ask(self, header: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], int]:
        """Send a request, and wait for the first part of its answer."""
        self._deadline_s = time.monotonic() + self._allowed_s
        try:
            send(self._requests, header, payload)
            return receive_header(self._replies)
        except (OSError, EOFError, ValueError) as error:
            raise self._death() from error
        finally:
            self._deadline_s = None

    def receive_image(self, answer: dict[str, Any], length: int, side_px: int) -> DecodedImage:
        """The second part of an answer, which must be pixels of that size."""
        import numpy as np

        from retrieval.images.decode import DecodedImage

        try:
            if length != side_px * side_px * 3:
                raise ValueError("pixels of another size")
            pixels = np.frombuffer(receive_exactly(self._replies, length), np.uint8)
            return DecodedImage(
                pixels.reshape(side_px, side_px, 3),
                int(answer["width_px"]),
                int(answer["height_px"]),
                ImageMetadata.from_json(answer["metadata"]),
            )
        except (OSError, EOFError, TypeError, ValueError, KeyError) as error:
            raise self._death() from error

    def receive(self, length: int) -> bytes:
        """The second part of an answer, as it is."""
        try:
            return receive_exactly(self._replies, length)
        except (OSError, EOFError) as error:
            raise self._death() from error

    def metadata(self, answer: dict[str, Any]) -> ImageMetadata:
        """The facts in an answer."""
        try:
            return ImageMetadata.from_json(answer["metadata"])
        except (TypeError, ValueError, KeyError) as error:
            raise self._death() from error

    def is_alive(self) -> bool:
        """Whether it still runs: an idle one may have been ended from outside."""
        return self._process.poll() is None

    def kill_if_overdue(self) -> None:
        """End it where its file has taken too long."""
        deadline_s = self._deadline_s
        if deadline_s is not None and time.monotonic() > deadline_s:
            self._is_overdue = True
            self.kill()

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _death(self) -> _ProcessDiedError:
        how = self._how_it_ended()
        is_out_of_time = sys.platform != "win32" and self._process.returncode == -signal.SIGXCPU
        return _ProcessDiedError(how, self._is_overdue or is_out_of_time)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            return "it answers nonsense"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"exit code {code}"


def _module_path() -> list[str]:
    """Where modules are found, for a process that works it out no other way."""
    home = str(Path(__file__).resolve().parents[2])
    found = [str(Path(entry).absolute()) if entry == "" else entry for entry in sys.path]
    return found if home in found else [*found, home]
