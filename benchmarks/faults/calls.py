"""Killing this process before or after the n-th call of one of the program's own steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

STEPS = ("commit", "index file", "put tokens", "remove tokens", "replace", "sync")


def kill_at(step: str, at: int, *, after: bool) -> None:
    """From now on: SIGKILL at the `at`-th call of a step, from 1, before it or after it."""
    owner, name = _place(step)
    real = getattr(owner, name)
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        is_due = calls == at
        if is_due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if is_due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def count_calls() -> Callable[[], dict[str, int]]:
    """From now on: count the calls of each step; returns a function that tells."""
    counts = dict.fromkeys(STEPS, 0)

    def counting(step: str) -> None:
        owner, name = _place(step)
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            counts[step] += 1
            return real(*arguments, **named)

        setattr(owner, name, wrapped)

    for step in STEPS:
        counting(step)
    return lambda: counts


def _place(step: str) -> tuple[Any, str]:
    from sqlalchemy.engine.default import DefaultDialect

    from retrieval.storage.patch_tokens import PatchTokenStore
    from retrieval.vectors.faiss.index import FaissIndex

    return {
        "commit": (DefaultDialect, "do_commit"),
        "index file": (FaissIndex, "save"),
        "put tokens": (PatchTokenStore, "put"),
        "remove tokens": (PatchTokenStore, "remove"),
        "replace": (os, "replace"),
        "sync": (os, "fsync"),
    }[step]
