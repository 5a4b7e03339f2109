"""One press of Ctrl-C is enough, whatever Python does with its exception."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.interrupts import stop_on_interrupt

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent otherwise there")


class InterruptedWhenItGoes:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_an_interrupt_in_a_destructor_is_dropped_by_python_and_not_by_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dropped: list[type[BaseException]] = []

    def note(unraisable: Any) -> None:
        dropped.append(unraisable.exc_type)

    monkeypatch.setattr(sys, "unraisablehook", note)
    with stop_on_interrupt() as stop:
        InterruptedWhenItGoes()
        assert dropped == [KeyboardInterrupt]
        assert stop.is_set()


def test_elsewhere_it_is_raised_and_the_handler_of_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_indexing_keeps_what_was_done(photos: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for photo in photos.iterdir():
        for copy in range(40):
            data = photo.read_bytes() + copy.to_bytes(2, "big")
            (library / f"{photo.stem}-{copy}{photo.suffix}").write_bytes(data)
    command = [sys.executable, "-m", "cli.main", "--index-dir", tmp_path / "index", "index"]
    with subprocess.Popen(
        [*command, library], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        timer = threading.Timer(0, _interrupt_once_begun, [process, tmp_path / "index"])
        timer.start()
        printed, errors = process.communicate(timeout=120)
        timer.join()
    assert process.returncode == 130, errors
    assert printed.startswith("Interrupted; what was done is kept")


def _interrupt_once_begun(process: subprocess.Popen[str], index_dir: Path) -> None:
    from retrieval.catalog.sqlite.quick_reader import QuickReader
    from retrieval.errors import IndexMissingError

    while process.poll() is None:
        # Until its first moment is over, the run has no catalogue or one without tables.
        with suppress(IndexMissingError), QuickReader.open(index_dir / "catalog.sqlite") as reader:
            if reader.generation > 1:
                process.send_signal(signal.SIGINT)
                return
        time.sleep(0.05)
