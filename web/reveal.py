"""A picture shown in the file manager of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from retrieval.errors import MmsearchError


def can_reveal() -> bool:
    """Whether there is a file manager to show it in."""
    if sys.platform in ("win32", "darwin"):
        return True
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return has_screen and shutil.which("xdg-open") is not None


def reveal(path: Path) -> None:
    """Open the folder of a picture. Raises MmsearchError where nothing can open it."""
    if not can_reveal():
        raise MmsearchError("There is no file manager on this machine.")
    if sys.platform == "win32":
        command = ["explorer", f"/select,{path}"]
    elif sys.platform == "darwin":
        command = ["open", "-R", os.fspath(path)]
    else:
        command = ["xdg-open", os.fspath(path.parent)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
