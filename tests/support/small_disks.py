"""Small file systems for tests: mounted where the tests may, else the test is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own on `folder`, of a size as tmpfs takes it: `2m`."""
    mount(folder, size)
    try:
        yield folder
    finally:
        unmount(folder)


def mount(folder: Path, size: str) -> None:
    """Mount an empty file system; leaves the test out where that is not permitted."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root on Linux can mount a small file system")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "mmsearch-test", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here ({done.stderr.strip()})")


def grow(folder: Path, size: str) -> None:
    """Give the file system more space."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def unmount(folder: Path) -> None:
    """Take the file system away."""
    subprocess.run(["umount", "-l", folder], check=False)
