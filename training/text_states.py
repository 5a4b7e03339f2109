"""States of the text encoder's frozen layers, computed once for every training text.

Kept ragged (no padding) as float16: 40,000 captions take about 400 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.data import batches
from training.text_encoder import TextEncoder


@dataclass(frozen=True)
class TextStates:
    """States of many texts one after another: text i owns rows starts[i] to starts[i + 1]."""

    states: Tensor
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def batch(self, texts: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Padded states float32 (n, L, width) and mask bool (n, L) of the chosen texts."""
        rows = [self.states[self.starts[i] : self.starts[i + 1]] for i in texts]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).float()
        lengths = torch.tensor([len(row) for row in rows])
        return padded, torch.arange(padded.shape[1])[None, :] < lengths[:, None]


def encode_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, unpadded."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def pad_ids(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Padded ids int64 (n, L) and mask bool (n, L); the padding's id is 0."""
    longest = max(len(row) for row in ids)
    padded = torch.zeros(len(ids), longest, dtype=torch.int64)
    for index, row in enumerate(ids):
        padded[index, : len(row)] = torch.tensor(row)
    lengths = torch.tensor([len(row) for row in ids])
    return padded, torch.arange(longest)[None, :] < lengths[:, None]


def lower_states(
    encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str], batch_size: int = 256
) -> TextStates:
    """The frozen layers' states of the texts."""
    ids = encode_ids(tokenizer, texts)
    lengths = np.array([len(row) for row in ids])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    states = torch.empty(int(starts[-1]), encoder.shape.width, dtype=torch.float16)
    # Texts of similar length go together, so that little is computed for padding.
    order = np.argsort(lengths, kind="stable")
    encoder.eval()
    with torch.inference_mode():
        for part in batches(len(order), batch_size):
            padded, mask = pad_ids([ids[i] for i in order[part]])
            with torch.autocast("cpu", torch.bfloat16):
                lower = encoder.lower(padded, mask)
            for index, row in zip(order[part], lower, strict=True):
                states[starts[index] : starts[index + 1]] = row[: lengths[index]].half()
    return TextStates(states, starts)
