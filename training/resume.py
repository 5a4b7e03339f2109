"""A training's state on disk, so that one that was cut off goes on where it was.

Unlike `checkpoint.py`, whose files hold what is kept of a training, this holds all that the next
step hangs on, random numbers included: a training that was cut off ends as one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch


class TrainingState:
    """One file with the state of one training, written anew every `every_s` seconds.

    Without a file nothing is kept. A file is replaced as a whole, so that what is read is never
    half written.
    """

    def __init__(self, file: Path | None = None, every_s: float = 300.0) -> None:
        self._file = file
        self._every_s = every_s
        self._saved = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self._file is not None and time.monotonic() - self._saved >= self._every_s

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state: tensors, numbers, texts, and lists and mappings of them."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        torch.save(dict(state), partial)
        partial.replace(self._file)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where nothing was."""
        if self._file is None or not self._file.exists():
            return None
        found: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True)
        return found

    def forget(self) -> None:
        """Remove the file: the training is over, and what it made is elsewhere."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def random_state(rng: np.random.Generator, device: torch.device) -> dict[str, Any]:
    """Where the random numbers of NumPy's generator and of PyTorch stand."""
    found: dict[str, Any] = {
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_random_state(
    state: Mapping[str, Any], rng: np.random.Generator, device: torch.device
) -> None:
    """Let them go on from there; a device's own numbers only where they are of its kind."""
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
