"""The captioner as a PyTorch network: a small decoder that looks at a picture's patch tokens.

What it is trained on and how it becomes ONNX belong to the modules beside this one;
`retrieval.captioning.compact` runs it without PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a captioner.

    `vocabulary`: how many word pieces it says. `rows`: a picture's patch tokens, those that stand
    for the whole of it included; `token_dim` their size, `token_scale` what their codes are
    multiplied by. `vector_dim`: the size of the picture's vector. `longest`: of a caption, in word
    pieces with its end.
    """

    vocabulary: int
    rows: int = 200
    token_dim: int = 80
    token_scale: float = 4.0 / 127
    vector_dim: int = 264
    width: int = 192
    memory_width: int = 96
    inner_width: int = 512
    layers: int = 2
    heads: int = 6
    longest: int = 20


class Memory(NamedTuple):
    """What a layer looks at of n pictures: keys and values, (n, heads, rows, head width)."""

    keys: Tensor
    values: Tensor


class DecoderLayer(nn.Module):
    """Self-attention over what was said, cross-attention over the picture, two products.

    Vaswani et al., *Attention Is All You Need* (2017), normalised before each part as in Xiong et
    al., *On Layer Normalization in the Transformer Architecture* (2020).
    """

    def __init__(self, shape: DecoderShape, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.own_norm = nn.LayerNorm(width)
        self.own = nn.Linear(width, 3 * width)
        self.own_out = nn.Linear(width, width)
        self.seen_norm = nn.LayerNorm(width)
        self.asked = nn.Linear(width, width)
        self.memory = nn.Linear(shape.memory_width, 2 * width)
        self.seen_out = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, shape.inner_width)
        self.inner_out = nn.Linear(shape.inner_width, width)
        self.dropout = nn.Dropout(dropout)

    def remember(self, rows: Tensor) -> Memory:
        """Keys and values of pictures' rows, (n, rows, memory width)."""
        keys, values = self.memory(rows).chunk(2, dim=-1)
        return Memory(self.split(keys), self.split(values))

    def forward(self, states: Tensor, memory: Memory) -> Tensor:
        """What the layer makes of states (n, captions, length, width) of captions of n pictures.

        Each place sees those before it and its picture.
        """
        pictures, captions, length, width = states.shape
        flat = states.reshape(pictures * captions, length, width)
        queries, keys, values = map(self.split, self.own(self.own_norm(flat)).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        flat = flat + self.dropout(self.own_out(joined(mixed)))
        # All captions of a picture ask its rows at once, so that these are projected once.
        asked = self.asked(self.seen_norm(flat)).reshape(pictures, captions * length, width)
        seen = F.scaled_dot_product_attention(self.split(asked), memory.keys, memory.values)
        flat = flat + self.dropout(self.seen_out(joined(seen)).reshape(flat.shape))
        flat = flat + self.dropout(self.within(flat))
        found: Tensor = flat.reshape(states.shape)
        return found

    def within(self, states: Tensor) -> Tensor:
        """The two products of each state by itself."""
        found: Tensor = self.inner_out(F.relu(self.inner(self.inner_norm(states))))
        return found

    def split(self, x: Tensor) -> Tensor:
        """(n, length, width) → (n, heads, length, width / heads)."""
        rows, length, width = x.shape
        return x.view(rows, length, self.heads, width // self.heads).transpose(1, 2)


class CaptionDecoder(nn.Module):
    """Captions, piece by piece, of pictures that are given as vectors and patch tokens.

    The vector takes the place of the mark that begins a caption, so that every piece is said in
    view of the picture as a whole; the patches are looked at in each layer.
    """

    def __init__(self, shape: DecoderShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.start = nn.Linear(shape.vector_dim, shape.width)
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Parameter(torch.zeros(shape.longest, shape.width))
        self.rows_in = nn.Linear(shape.token_dim, shape.memory_width)
        self.row_places = nn.Parameter(torch.zeros(shape.rows, shape.memory_width))
        self.rows_norm = nn.LayerNorm(shape.memory_width)
        self.layers = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.layers))
        self.last_norm = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.words.weight, std=0.05)
        nn.init.normal_(self.places, std=0.02)
        nn.init.normal_(self.row_places, std=0.02)

    def forward(self, vectors: Tensor, tokens: Tensor, said: Tensor) -> Tensor:
        """The states from which `logits` tells what is likely to follow.

        Args:
            vectors: float (n, vector_dim).
            tokens: int8 or float codes (n, rows, token_dim).
            said: int64 (n, captions, length - 1), word pieces of each picture's captions.

        Returns:
            Float (n, captions, length, width).
        """
        rows = self.seen(tokens)
        first = self.begin(vectors)[:, None, None].expand(-1, said.shape[1], 1, -1)
        length = said.shape[2] + 1
        states = torch.cat([first, self.embedded(said)], dim=2) + self.places[:length]
        states = self.dropout(states)
        for layer in self.stack:
            states = layer(states, layer.remember(rows))
        found: Tensor = states
        return found

    @property
    def stack(self) -> list[DecoderLayer]:
        """The layers, the first first."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def begin(self, vectors: Tensor) -> Tensor:
        """What stands in for the mark that begins a caption, (n, width)."""
        # A unit vector's numbers are small; brought to a size of about one.
        found: Tensor = self.start(vectors * self.shape.vector_dim**0.5)
        return found

    def seen(self, tokens: Tensor) -> Tensor:
        """Pictures' rows as the layers look at them, (n, rows, memory width)."""
        rows = self.rows_in(tokens.float() * self.shape.token_scale)
        found: Tensor = self.dropout(self.rows_norm(rows + self.row_places))
        return found

    def embedded(self, said: Tensor) -> Tensor:
        """Word pieces as states."""
        found: Tensor = self.words(said) * self.shape.width**0.5
        return found

    def logits(self, states: Tensor) -> Tensor:
        """What comes next, by the same table that word pieces are read with."""
        found: Tensor = F.linear(self.last_norm(states), self.words.weight)
        return found


def joined(x: Tensor) -> Tensor:
    """(n, heads, length, head width) → (n, length, width)."""
    return x.transpose(1, 2).flatten(2)
