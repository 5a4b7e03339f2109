"""What a compact model makes of texts and pictures, kept on disk under the model's fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import encode_set

Vectors = NDArray[np.float32]


class ModelVectors:
    """Vectors of one model, unit length, made when they are first asked for; kept in `folder`."""

    def __init__(self, encoder: CompactEncoder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._encoder = encoder
        self._folder = folder

    def of_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) of texts."""
        return self._kept("texts", texts, lambda: self._encoder.encode_texts(texts).vectors)

    def of_images(self, paths: Sequence[Path]) -> Vectors:
        """(n, dim) of picture files. Raises SystemExit where one cannot be used."""
        names = [str(path) for path in paths]
        return self._kept("images", names, lambda: self._encode_images(names))

    def _kept(self, kind: str, names: Sequence[str], make: Callable[[], Vectors]) -> Vectors:
        digest = hashlib.blake2b(digest_size=12)
        for name in (self._encoder.space.fingerprint, kind, *self._versions(kind), *names):
            digest.update(name.encode() + b"\0")
        file = self._folder / f"{kind}-{digest.hexdigest()}.npy"
        if not file.exists():
            np.save(file, make())
        vectors: Vectors = np.load(file, allow_pickle=False)
        return vectors

    def _versions(self, kind: str) -> list[str]:
        """The fingerprint is of the picture tower alone."""
        if kind == "images":
            return []
        text_tower = (self._encoder.model_dir / "text.onnx").read_bytes()
        return [hashlib.blake2b(text_tower, digest_size=12).hexdigest()]

    def _encode_images(self, names: Sequence[str]) -> Vectors:
        images = [CaptionedImage(name, None, ("",)) for name in names]
        found = encode_set(self._encoder, images, Path())
        if found.skipped:
            raise SystemExit(f"{found.skipped[0].name} cannot be used: {found.skipped[0].reason}.")
        return found.image_vectors
