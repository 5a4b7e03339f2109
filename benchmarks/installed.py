"""The environment in which a program runs as it does once it is installed."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """This process's own, but modules stay compiled from one start to the next.

    Some keep Python from writing compiled modules while they develop; compiling the program's at
    every start would be timed with it.
    """
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
