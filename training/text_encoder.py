"""A BERT-like text encoder (MiniLM's shape); starts from MiniLM's weights with fewer tokens.

Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.fusion.attention import MultiHeadAttention


@dataclass(frozen=True)
class TextShape:
    """The sizes of a text encoder."""

    vocabulary: int
    max_tokens: int = 32
    width: int = 384
    heads: int = 12
    inner_width: int = 1536
    layers: int = 6


class TextLayer(nn.Module):
    """Self-attention and a two-layer perceptron, each added to its input and normalised."""

    def __init__(self, shape: TextShape, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(shape.width, shape.heads)
        self.attention_norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.inner = nn.Linear(shape.width, shape.inner_width)
        self.outer = nn.Linear(shape.inner_width, shape.width)
        self.output_norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, L, width), mask bool (n, L) → (n, L, width)."""
        attended, _ = self.attention(x, x, mask)
        x = self.attention_norm(x + self.dropout(attended))
        inner = self.outer(F.gelu(self.inner(x)))
        normed: Tensor = self.output_norm(x + self.dropout(inner))
        return normed


class TextEncoder(nn.Module):
    """Token ids → word vectors before and after the layers mixed them."""

    def __init__(self, shape: TextShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.max_tokens, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.layers = nn.ModuleList(TextLayer(shape, dropout) for _ in range(shape.layers))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids int64 (n, L), mask bool (n, L) → single and contextual word vectors (n, L, width)."""
        return self.contextual(self.words(ids), mask)

    def contextual(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, from the words' own vectors (n, L, width)."""
        single: Tensor = self.norm(words + self.positions.weight[: words.shape[1]])
        x = single
        for layer in self.layers:
            x = layer(x, mask)
        return single, x


def mean_over_words(states: Tensor, mask: Tensor) -> Tensor:
    """(n, L, width), bool (n, L) → the mean over the words that are not padding, (n, width)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def load_minilm(encoder: TextEncoder, weights_file: Path, rows: Tensor) -> None:
    """Copy MiniLM's weights; `rows` int64 (vocabulary,) are its ids of the encoder's tokens."""
    source = load_file(weights_file)
    prefix = "embeddings."
    kinds = source[f"{prefix}token_type_embeddings.weight"][0]
    _copy(encoder.words.weight, source[f"{prefix}word_embeddings.weight"][rows])
    # Sentences are always of the first kind: its vector is added to every position, once.
    positions = source[f"{prefix}position_embeddings.weight"][: encoder.shape.max_tokens]
    _copy(encoder.positions.weight, positions + kinds)
    _copy_pair(encoder.norm, source, f"{prefix}LayerNorm")
    for index, layer in enumerate(encoder.layers):
        assert isinstance(layer, TextLayer)
        for module, name in _layer_names(layer):
            _copy_pair(module, source, f"encoder.layer.{index}.{name}")


def _layer_names(layer: TextLayer) -> list[tuple[nn.Linear | nn.LayerNorm, str]]:
    return [
        (layer.attention.query, "attention.self.query"),
        (layer.attention.key, "attention.self.key"),
        (layer.attention.value, "attention.self.value"),
        (layer.attention.output, "attention.output.dense"),
        (layer.attention_norm, "attention.output.LayerNorm"),
        (layer.inner, "intermediate.dense"),
        (layer.outer, "output.dense"),
        (layer.output_norm, "output.LayerNorm"),
    ]


def _copy_pair(module: nn.Linear | nn.LayerNorm, source: dict[str, Tensor], name: str) -> None:
    _copy(module.weight, source[f"{name}.weight"])
    _copy(module.bias, source[f"{name}.bias"])


def _copy(target: Tensor, source: Tensor) -> None:
    with torch.no_grad():
        target.copy_(source)
