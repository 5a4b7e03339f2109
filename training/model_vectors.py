"""What a compact model makes of texts and pictures, kept on disk under the model's fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import EncodedSet, encode_set

Vectors = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)


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
        return self._kept("images", names, lambda: self._encode_images(names).image_vectors)

    def tokens_of_images(self, paths: Sequence[Path]) -> NDArray[np.int8]:
        """Patch tokens, int8 (n, rows, token_dim), of picture files, mapped from disk.

        Raises SystemExit where a picture cannot be used.
        """
        names = [str(path) for path in paths]
        return self._kept("tokens", names, lambda: _tokens(self._encode_images(names)), mapped=True)

    def _kept(
        self,
        kind: str,
        names: Sequence[str],
        make: Callable[[], NDArray[T]],
        *,
        mapped: bool = False,
    ) -> NDArray[T]:
        digest = hashlib.blake2b(digest_size=12)
        for name in (self._encoder.space.fingerprint, kind, *self._versions(kind), *names):
            digest.update(name.encode() + b"\0")
        file = self._folder / f"{kind}-{digest.hexdigest()}.npy"
        if not file.exists():
            np.save(file, make())
        kept: NDArray[T] = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
        return kept

    def _versions(self, kind: str) -> list[str]:
        """The fingerprint is of the picture tower alone."""
        if kind != "texts":
            return []
        text_tower = (self._encoder.model_dir / "text.onnx").read_bytes()
        return [hashlib.blake2b(text_tower, digest_size=12).hexdigest()]

    def _encode_images(self, names: Sequence[str]) -> EncodedSet:
        images = [CaptionedImage(name, None, ("",)) for name in names]
        found = encode_set(self._encoder, images, Path())
        if found.skipped:
            raise SystemExit(f"{found.skipped[0].name} cannot be used: {found.skipped[0].reason}.")
        return found


def _tokens(found: EncodedSet) -> NDArray[np.int8]:
    assert found.patch_tokens is not None
    return found.patch_tokens
