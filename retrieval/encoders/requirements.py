"""Packages that only some models need: said in one sentence where they are missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from retrieval.errors import UnknownModelError


def require_packages(what: str, extra: str, *packages: str) -> None:
    """Raise UnknownModelError, with what to install, unless all the packages are there.

    Looks for them without importing them, which would take seconds.
    """
    for package in packages:
        if package in sys.modules:
            missing = sys.modules[package] is None
        else:
            missing = find_spec(package) is None
        if missing:
            raise UnknownModelError(
                # Double quotes, which every shell understands.
                f'{what} needs the package {package}: run `pip install "mmsearch[{extra}]"`.'
            )
