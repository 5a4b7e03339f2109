"""The program as it runs on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def on_a_terminal(*arguments: str, **variables: str) -> bytes:
    """What `mmsearch ARGUMENTS` prints where its stdout is a terminal."""
    pty = pytest.importorskip("pty", reason="needs terminals as Unix has them")
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "TERM"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment | {"TERM": "dumb"} | variables,
    )
    os.close(theirs)
    printed = b""
    try:
        while block := os.read(ours, 65536):
            printed += block
    except OSError:  # What Linux says at the end of a terminal.
        pass
    finally:
        os.close(ours)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return printed.replace(b"\r\n", b"\n")
