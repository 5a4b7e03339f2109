"""The built-in encoder: a small dual encoder of the package's own, in ONNX, no torch needed.

Its files are in `retrieval/models/compact/`; `training/` makes them, and the model card there
says what they are good and bad at.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.arguments import check_pixels, check_texts
from retrieval.encoders.base import EncoderIdentity, ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.errors import UnknownModelError
from retrieval.images.preprocess import Preprocessing

COMPACT_DIR = Path(__file__).resolve().parent.parent / "models" / "compact"
# What makes the vectors what they are; the reranker beside them may change without a re-index.
_FINGERPRINTED = ("image.onnx", "text.onnx", "tokenizer.json")


def compact_fingerprint(model_dir: Path, config: Mapping[str, Any]) -> str:
    """A hash of a compact model's weights and of its preprocessing, which `config` tells."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(config["image"], sort_keys=True).encode())
    for name in _FINGERPRINTED:
        digest.update((model_dir / name).read_bytes())
    return digest.hexdigest()


class CompactEncoder:
    """The compact model as an `Encoder`, with patch and word tokens for the reranker.

    The picture and the text tower load apart, each when first used: a question needs only the
    latter. Raises UnknownModelError where `model_dir` holds no such model.
    """

    def __init__(self, model_dir: Path = COMPACT_DIR, name: str = "compact") -> None:
        try:
            self._config: dict[str, Any] = json.loads((model_dir / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise UnknownModelError(
                f"{model_dir} holds no compact model: its config.json cannot be read."
            ) from error
        self._model_dir = model_dir
        self._name = name
        self._image = OnnxSession(model_dir / "image.onnx")
        self._text = OnnxSession(model_dir / "text.onnx")
        self._tokenizer_lock = threading.Lock()

    @property
    def model_dir(self) -> Path:
        """The folder of the model's files."""
        return self._model_dir

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Name, dimension and fingerprint, a hash of the weights and the preprocessing."""
        # The package's own files are as they were installed, so that their hash is known. Taking
        # it again would cost every question as much time as loading FAISS.
        known = self._config.get("fingerprint") if self._model_dir == COMPACT_DIR else None
        return EncoderIdentity(
            self._name,
            int(self._config["dim"]),
            known or compact_fingerprint(self._model_dir, self._config),
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return Preprocessing(**self._config["image"])

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid."""
        rows, columns = self._config["tokens"]["grid"]
        return int(rows), int(columns)

    @property
    def token_scale(self) -> float:
        """What patch tokens, int8, are multiplied by to become floats."""
        return float(self._config["tokens"]["scale"])

    def preload(self) -> None:
        """Begin to load what a question in words needs; see `OnnxSession.preload`."""
        self._text.preload()

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB, to vectors and patch tokens."""
        check_pixels(pixels, self.preprocessing.size_px)
        vectors, tokens = self._image.run(["embedding", "tokens"], {"pixels": pixels})
        return ImageEncoding(np.ascontiguousarray(vectors), np.ascontiguousarray(tokens))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; what exceeds the model's number of tokens is cut off.

        Each is run alone: eight-bit products share one scale a batch, so that a text's vector would
        depend on the others, and the answers to it.

        `word_mask` is False for padding and for the marks at the start and the end.
        """
        check_texts(texts)
        if not texts:
            return TextEncoding(np.zeros((0, int(self._config["dim"])), np.float32))
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        marks = np.array([encoding.special_tokens_mask for encoding in encodings], dtype=bool)
        runs = [self._encode_text(ids[row], mask[row]) for row in range(len(ids))]
        length = ids.shape[1]
        return TextEncoding(
            vectors=np.concatenate([vector for vector, _ in runs]),
            word_tokens=np.concatenate(
                [np.pad(found, ((0, 0), (0, length - found.shape[1]), (0, 0))) for _, found in runs]
            ),
            word_mask=(mask > 0) & ~marks,
            words=tuple(tuple(encoding.tokens) for encoding in encodings),
        )

    def _encode_text(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vector (1, dim) and word tokens (1, length, d) of one text without its padding."""
        kept = mask > 0
        inputs = {"input_ids": ids[np.newaxis, kept], "attention_mask": mask[np.newaxis, kept]}
        vectors, tokens = self._text.run(["embedding", "tokens"], inputs)
        return vectors, tokens

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        with self._tokenizer_lock:
            tokenizer = Tokenizer.from_file(str(self._model_dir / "tokenizer.json"))
            tokenizer.enable_truncation(int(self._config["text"]["max_tokens"]))
            tokenizer.enable_padding()
            return tokenizer
