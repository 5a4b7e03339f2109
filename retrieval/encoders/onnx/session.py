"""ONNX Runtime sessions: opened on first use, once, with settings that suit a desktop CPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoders.onnx.overflow import products_overflow

if TYPE_CHECKING:
    import onnxruntime

EXACT_PRODUCTS = "session.x64quantprecision"


class OnnxSession:
    """One ONNX graph on the CPU. Making this object is free; the graph loads at the first run.

    `weight_bits`: how many bits the largest quantised weight takes.
    """

    def __init__(self, path: Path, weight_bits: int = 8) -> None:
        self._path = path
        self._weight_bits = weight_bits
        self._session: onnxruntime.InferenceSession | None = None
        self._lock = threading.Lock()

    def run(self, outputs: list[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs for the named inputs. Safe to call from several threads."""
        found: list[np.ndarray] = self.load().run(outputs, dict(inputs))
        return found

    def preload(self) -> None:
        """Begin to load the graph beside what the caller does next; the first run waits for it.

        ONNX Runtime itself is imported before this returns: only what comes then needs no GIL.
        """
        import onnxruntime  # noqa: F401

        # Not a daemon: cut off inside ONNX Runtime at the program's end, it would abort it.
        threading.Thread(target=self._try_to_load, name="load-graph").start()

    def output_names(self) -> list[str]:
        """What the graph can be asked for."""
        return [output.name for output in self.load().get_outputs()]

    def input_shape(self, name: str) -> tuple[int | str | None, ...]:
        """The sizes of an input as the graph declares them; what varies is no number.

        Raises KeyError where the graph takes no such input.
        """
        shapes = {own.name: tuple(own.shape) for own in self.load().get_inputs()}
        return shapes[name]

    def load(self) -> Any:
        """The session itself; the first call loads the graph."""
        with self._lock:
            if self._session is None:
                import onnxruntime

                self._session = onnxruntime.InferenceSession(
                    self._path,
                    session_options(self._weight_bits),
                    providers=["CPUExecutionProvider"],
                )
            return self._session

    def _try_to_load(self) -> None:
        # What is wrong comes out at the first run, where someone can be told.
        with suppress(Exception):
            self.load()


def session_options(weight_bits: int = 8) -> onnxruntime.SessionOptions:
    """How a graph whose largest quantised weight takes so many bits is to be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that wait busily take cores from decoding, and from what loads next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Where the quick eight-bit kernels overflow the built-in model's vectors would have a cosine of
    # 0.86 to the right ones. The exact ones take twice the time, even where the quick are exact.
    # Weights of seven bits overflow none.
    if weight_bits > 7 and products_overflow():
        options.add_session_config_entry(EXACT_PRODUCTS, "1")
    return options
