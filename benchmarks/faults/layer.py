"""The layer of `layer.c`, compiled where there is a C compiler, and how a process arms it."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("layer.c")
_ACTIONS = {"count": 0, "kill": 1, "torn": 2, "full": 3, "failing": 3, "unreadable": 4}
_ERRORS = {"full": errno.ENOSPC, "failing": errno.EIO, "unreadable": errno.EIO}
FOREVER = 2**62


@dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th file operation, from 1, below a folder.

    `action`: `count` nothing; `kill` the process dies before it; `torn` it dies after half of
    what was to be written; `full` and `failing` this call and those to `until` fail as on a full
    or broken disk; `unreadable` reading fails. `part` must be in the file's name.
    """

    action: str
    at: int = 1
    until: int = FOREVER
    part: str = ""


def compile_layer(folder: Path) -> Path | None:
    """The layer as a shared library in `folder`; None where there is no Linux or no compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "layer.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"],
        capture_output=True,
        check=False,
    )
    return library if done.returncode == 0 else None


def arm(fault: Fault, folder: Path) -> None:
    """Have the fault come up in this process, which was started with the layer."""
    layer = ctypes.CDLL(None)
    layer.fault_arm(
        os.fsencode(folder),
        os.fsencode(fault.part),
        _ACTIONS[fault.action],
        _ERRORS.get(fault.action, 0),
        ctypes.c_long(fault.at),
        ctypes.c_long(fault.until),
    )


def counts() -> tuple[int, int]:
    """How many operations there were since it was armed, and how many of them were failed."""
    layer = ctypes.CDLL(None)
    layer.fault_count.restype = layer.fault_failed.restype = ctypes.c_long
    return int(layer.fault_count()), int(layer.fault_failed())
