"""Shots and key frames of a video, by how the vectors of its sampled frames change.

Frames that follow each other and stay near their common mean are one stretch; the frame nearest to
that mean stands for all of it. A stretch whose first frame is far from the frame before begins a
shot. What is kept is the stretch at hand alone, so that the length of a video does not matter.

How far is far was measured for the built-in model, see `benchmarks/video.py`; the vectors of other
models lie closer together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Frame = TypeVar("Frame")
Vector = NDArray[np.float32]

# Of a stretch at rest so many frames are compared; every second one is let go beyond that.
_MOST_KEPT = 64


@dataclass(frozen=True)
class ChangeRule:
    """Cosines below which a frame no longer belongs to a stretch, and below which it begins a shot.

    The first is to the mean of the stretch, the second to the frame before.
    """

    stretch_cosine: float
    cut_cosine: float


_MEASURED = {"compact": ChangeRule(0.80, 0.70)}
_CAREFUL = ChangeRule(0.88, 0.80)


def rule_for(space_name: str) -> ChangeRule:
    """The rule for the vectors of a model by its name."""
    return _MEASURED.get(space_name, _CAREFUL)


@dataclass(frozen=True)
class KeyFrame(Generic[Frame]):
    """The frame that stands for a stretch of a video, which begins at `start_ms`."""

    time_ms: int
    vector: Vector
    frame: Frame
    start_ms: int
    begins_shot: bool


@dataclass(frozen=True)
class _Sample(Generic[Frame]):
    time_ms: int
    vector: Vector
    frame: Frame


class KeyFrameChooser(Generic[Frame]):
    """Takes sampled frames in order, gives key frames; `last_key` is the one before the first."""

    def __init__(self, rule: ChangeRule, last_key: Vector | None = None) -> None:
        self._rule = rule
        self._last_key = last_key
        self._kept: list[_Sample[Frame]] = []
        self._sum: Vector | None = None
        self._start_ms = 0
        self._begins_shot = last_key is None
        self._before: Vector | None = None

    def add(self, time_ms: int, vector: Vector, frame: Frame) -> KeyFrame[Frame] | None:
        """One more frame with its unit vector, (dim,); returns the key frame that it completes."""
        done = None
        sample = _Sample(time_ms, vector, frame)
        if self._sum is None:
            self._begin(sample)
        elif float(vector @ _unit(self._sum)) < self._rule.stretch_cosine:
            done = self._complete(_unit(self._sum))
            assert self._before is not None
            self._begins_shot = float(vector @ self._before) < self._rule.cut_cosine
            self._begin(sample)
        else:
            self._kept.append(sample)
            self._sum = self._sum + vector
            if len(self._kept) > _MOST_KEPT:
                self._kept = self._kept[::2]
        self._before = vector
        return done

    def finish(self) -> KeyFrame[Frame] | None:
        """The key frame of the last stretch, at the end."""
        return None if self._sum is None else self._complete(_unit(self._sum))

    def _begin(self, sample: _Sample[Frame]) -> None:
        self._kept = [sample]
        self._sum = sample.vector
        self._start_ms = sample.time_ms

    def _complete(self, mean: Vector) -> KeyFrame[Frame] | None:
        """What stands for the stretch at hand; None where the key frame before does so still."""
        best = max(self._kept, key=lambda sample: float(sample.vector @ mean))
        last = self._last_key
        if last is not None and float(best.vector @ last) >= self._rule.stretch_cosine:
            return None
        self._last_key = best.vector
        return KeyFrame(best.time_ms, best.vector, best.frame, self._start_ms, self._begins_shot)


def _unit(vector: Vector) -> Vector:
    return vector / np.float32(np.linalg.norm(vector))
