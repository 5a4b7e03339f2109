"""Small pictures on terminals that can show them: kitty's protocol or Sixel, by textual-image."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS = 8
# Longer than a preview is on any screen.
_LONGEST_PX = 640
_INDENT = 8


def shows_previews(chosen: bool | None) -> bool:
    """Whether to show them: as chosen, else where the terminal is known to be able to.

    Raises MmsearchError where they were chosen and the library for them is not installed.
    """
    if chosen is False or (chosen is None and not (sys.stdout.isatty() and is_able(os.environ))):
        return False
    from importlib.util import find_spec

    if find_spec("textual_image") is not None:
        return True
    if chosen:
        from retrieval.errors import MmsearchError

        raise MmsearchError(
            "Previews need a package that is not installed: `pip install 'mmsearch[previews]'`."
        )
    return False


def is_able(environment: os._Environ[str] | dict[str, str]) -> bool:
    """Whether the terminal says by its name that it shows pictures.

    No terminal is asked, which would cost each answer a moment and some terminals a stray line.
    """
    if environment.get("TMUX") or environment.get("STY"):
        return False
    terminal = environment.get("TERM", "")
    program = environment.get("TERM_PROGRAM", "")
    return (
        "KITTY_WINDOW_ID" in environment
        or terminal in ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "mlterm")
        or program in ("iTerm.app", "WezTerm", "ghostty", "mintty")
    )


def print_preview(path: Path, time_ms: int | None = None) -> None:
    """Show a picture below the line before; nothing where it cannot be read."""
    from retrieval.errors import ImageError

    try:
        preview = renderable(path, time_ms)
    except (ImageError, OSError):
        return
    from rich.console import Console
    from rich.padding import Padding

    Console().print(Padding(preview, (0, 0, 0, _INDENT)))


def renderable(path: Path, time_ms: int | None = None) -> RenderableType:
    """The picture as `rich` prints it. Raises ImageError or OSError where it cannot be read."""
    # Here, since it asks the terminal what it can show when it is imported.
    from PIL import Image
    from textual_image.renderable import Image as Preview

    from retrieval.media.thumbnails import item_thumbnail

    thumbnail = Image.open(io.BytesIO(item_thumbnail(path, time_ms, _LONGEST_PX)))
    preview: RenderableType = Preview(thumbnail, width="auto", height=ROWS)
    return preview
