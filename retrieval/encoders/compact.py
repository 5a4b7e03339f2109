"""The built-in encoder: a small dual encoder of the package's own, in ONNX, no torch needed.

Its files are in `retrieval/models/compact/`; `training/` makes them, and the model card there
says what they are good and bad at.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.arguments import check_pixels, check_texts
from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import UnknownModelError
from retrieval.images.preprocess import Preprocessing

COMPACT_DIR = Path(__file__).resolve().parent.parent / "models" / "compact"
_TEXT_FILES = ("text.onnx", "tokenizer.json")


def compact_fingerprint(model_dir: Path, config: Mapping[str, Any]) -> str:
    """A hash of a compact model's picture tower and of its preprocessing, told by `config`."""
    return _hash(config, model_dir, ("image.onnx",))


def former_fingerprint(model_dir: Path, config: Mapping[str, Any]) -> str:
    """The hash by which mmsearch 0.1 knew a compact model: of both towers and the tokenizer."""
    return _hash(config, model_dir, ("image.onnx", *_TEXT_FILES))


def _hash(config: Mapping[str, Any], model_dir: Path, names: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(config["image"], sort_keys=True).encode())
    for name in names:
        digest.update((model_dir / name).read_bytes())
    return digest.hexdigest()


class CompactImageEncoder:
    """The picture tower of a compact model, with patch tokens for the reranker.

    Raises UnknownModelError where `model_dir` holds no such model.
    """

    def __init__(self, model_dir: Path = COMPACT_DIR, name: str = "compact") -> None:
        self._config = _read_config(model_dir)
        self._model_dir = model_dir
        self._name = name
        self._session = OnnxSession(model_dir / "image.onnx")

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        # The package's own files are as they were installed, so that their hash is known. Taking
        # it again would cost every question as much time as loading FAISS.
        is_own = self._model_dir == COMPACT_DIR
        known = self._config.get("fingerprint") if is_own else None
        former = self._config.get("former_fingerprints", []) if is_own else [self._former]
        return EmbeddingSpace(
            self._name,
            int(self._config["dim"]),
            known or compact_fingerprint(self._model_dir, self._config),
            tuple(former),
        )

    @property
    def _former(self) -> str:
        return former_fingerprint(self._model_dir, self._config)

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
    def whole_rows(self) -> int:
        """How many rows of patch tokens, after the grid's, describe the picture as a whole."""
        return int(self._config["tokens"].get("whole_rows", 0))

    @property
    def token_scale(self) -> float:
        """What patch tokens, int8, are multiplied by to become floats."""
        return float(self._config["tokens"]["scale"])

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB, to vectors and patch tokens."""
        check_pixels(pixels, self.preprocessing.size_px)
        vectors, tokens = self._session.run(["embedding", "tokens"], {"pixels": pixels})
        return ImageEncoding(np.ascontiguousarray(vectors), np.ascontiguousarray(tokens))


class CompactTextEncoder:
    """A text tower for the space of a compact model's pictures, with word tokens.

    Its folder holds `text.onnx`, `tokenizer.json` and a `config.json` with `dim` and
    `text.max_tokens`. `space` is the one that it was trained for. Raises UnknownModelError where
    the folder holds no such tower.
    """

    def __init__(
        self, model_dir: Path, space: EmbeddingSpace | Callable[[], EmbeddingSpace]
    ) -> None:
        self._config = _read_config(model_dir)
        self._model_dir = model_dir
        self._space = space
        self._session = OnnxSession(model_dir / "text.onnx")
        self._tokenizer_lock = threading.Lock()

    @classmethod
    def trained_for(cls, model_dir: Path) -> Self:
        """A tower that came by itself: its `config.json` names the `space` that it is for.

        Raises UnknownModelError where it names none.
        """
        config = _read_config(model_dir)
        try:
            space = EmbeddingSpace(
                str(model_dir), int(config["dim"]), str(config["space"]["fingerprint"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownModelError(
                f"{model_dir} holds no text tower: its config.json names no space."
            ) from error
        return cls(model_dir, space)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return self._space() if callable(self._space) else self._space

    def preload(self) -> None:
        """Begin to load what a question in words needs; see `OnnxSession.preload`."""
        self._session.preload()

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

    def knows(self, word: str) -> bool:
        """Whether a word, in lower case and without accents, is in the vocabulary as a whole."""
        return self._tokenizer.token_to_id(word) is not None

    def _encode_text(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vector (1, dim) and word tokens (1, length, d) of one text without its padding."""
        kept = mask > 0
        inputs = {"input_ids": ids[np.newaxis, kept], "attention_mask": mask[np.newaxis, kept]}
        vectors, tokens = self._session.run(["embedding", "tokens"], inputs)
        return vectors, tokens

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        with self._tokenizer_lock:
            tokenizer = Tokenizer.from_file(str(self._model_dir / "tokenizer.json"))
            tokenizer.enable_truncation(int(self._config["text"]["max_tokens"]))
            tokenizer.enable_padding()
            return tokenizer


class CompactEncoder:
    """The compact model as an `Encoder`: its picture tower and its text tower.

    Each loads when it is first used: a question needs only the latter. Raises UnknownModelError
    where `model_dir` holds no such model.
    """

    def __init__(self, model_dir: Path = COMPACT_DIR, name: str = "compact") -> None:
        self._model_dir = model_dir
        self._images = CompactImageEncoder(model_dir, name)
        self._texts = CompactTextEncoder(model_dir, lambda: self._images.space)

    @property
    def model_dir(self) -> Path:
        """The folder of the model's files."""
        return self._model_dir

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return self._images.space

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return self._images.preprocessing

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid."""
        return self._images.token_grid

    @property
    def whole_rows(self) -> int:
        """How many rows of patch tokens, after the grid's, describe the picture as a whole."""
        return self._images.whole_rows

    @property
    def token_scale(self) -> float:
        """What patch tokens, int8, are multiplied by to become floats."""
        return self._images.token_scale

    def preload(self) -> None:
        """Begin to load what a question in words needs."""
        self._texts.preload()

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB, to vectors and patch tokens."""
        return self._images.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; see `CompactTextEncoder.encode_texts`."""
        return self._texts.encode_texts(texts)

    def knows(self, word: str) -> bool:
        """Whether a word, in lower case and without accents, is in the vocabulary as a whole."""
        return self._texts.knows(word)


def _read_config(model_dir: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((model_dir / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise UnknownModelError(
            f"{model_dir} holds no compact model: its config.json cannot be read."
        ) from error
    return config
