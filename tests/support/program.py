"""The program itself, run as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def mmsearch(
    *arguments: str | Path, index_dir: Path, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """`mmsearch --index-dir INDEX_DIR ARGUMENTS`, with what it printed as text."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "--index-dir", index_dir, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
