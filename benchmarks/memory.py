"""What processes hold in memory, as Linux tells it in /proc; elsewhere not a number.

Not by `getrusage`: its peak is carried over from the process that started this one, so that a large
benchmark makes all that it starts look large.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np

from retrieval.storage.closing import Closing

_PROC = Path("/proc")
_EVERY_S = 0.05


def resident_mib(process: int | str = "self") -> float:
    """What a process holds now, mapped pages included."""
    return _status_mib(process, "VmRSS")


def peak_mib(process: int | str = "self") -> float:
    """The most that a process has held since it began."""
    return _status_mib(process, "VmHWM")


class FamilyPeak(Closing):
    """Watches a process and all that it starts: the most that they hold together at one time.

    Pages that several of them share count once. Looks twenty times a second, so that what is held
    for less long may be missed.
    """

    def __init__(self, process: int) -> None:
        self.mib = math.nan
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            # The larger of the two; of a number and none, the number.
            self.mib = float(np.fmax(self.mib, family_mib(self._process)))


def family_mib(process: int) -> float:
    """What a process and its descendants hold now; pages that they share count once."""
    found = [_shared_out_mib(member) for member in _family(process)]
    held = [mib for mib in found if not math.isnan(mib)]
    return sum(held) if held else math.nan


def _family(process: int) -> list[int]:
    family = [process]
    for member in family:
        for listing in (_PROC / str(member) / "task").glob("*/children"):
            try:
                family += [int(child) for child in listing.read_text().split()]
            except OSError:
                # It ended while we looked.
                continue
    return family


def _shared_out_mib(process: int) -> float:
    return _field_mib(_PROC / str(process) / "smaps_rollup", "Pss")


def _status_mib(process: int | str, field: str) -> float:
    return _field_mib(_PROC / str(process) / "status", field)


def _field_mib(path: Path, field: str) -> float:
    try:
        for line in path.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return math.nan
