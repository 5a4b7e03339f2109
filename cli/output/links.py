"""Paths as links on terminals that know OSC 8: a click opens the file, the text stays as it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

# These print the escape sequence, or have nothing to click with.
_WITHOUT_LINKS = frozenset({"dumb", "linux"})
_START, _END = "\033]8;;", "\033\\"


def shows_links(stream: TextIO | None = None) -> bool:
    """Whether a stream, stdout unless given, is a terminal that takes links; colour is no matter.

    A terminal that does not know them shows the text alone, save for the ones named here.
    """
    stream = stream or sys.stdout
    return stream.isatty() and os.environ.get("TERM") not in _WITHOUT_LINKS


def linked(text: str, path: Path) -> str:
    """The text as a link to a file; `path` is absolute, `text` free of control characters."""
    return f"{_START}{_file_url(path)}{_END}{text}{_START}{_END}"


def _file_url(path: Path) -> str:
    """`file://HOST/PATH`, its bytes percent-encoded; the host tells of files on another one."""
    # Here, since pipes need none of it.
    import socket
    from urllib.parse import quote, quote_from_bytes

    place = os.fsencode(path).replace(os.fsencode(os.sep), b"/")
    # Windows: file://host/C:/...
    slash = "" if place.startswith(b"/") else "/"
    return f"file://{quote(socket.gethostname())}{slash}{quote_from_bytes(place, safe='/:')}"
