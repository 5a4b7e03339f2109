"""The compact reranker as a PyTorch network: words look at patches and a score comes out.

Pairs only; what to train it on and how to run it belong to the modules beside this one and to
`retrieval.rerankers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from retrieval.attention import MultiHeadAttention


@dataclass(frozen=True)
class RerankerShape:
    """The sizes of a reranker.

    `token_dim` is the encoder's, for words and patches alike; `patches` the number of cells of
    its grid; `patch_scale` what an int8 patch token is multiplied by to become a float.
    """

    token_dim: int
    patches: int
    patch_scale: float
    width: int = 192
    heads: int = 4
    layers: int = 2


class CrossAttentionLayer(nn.Module):
    """Cross-attention and a perceptron, each with a residual and a LayerNorm before it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.words_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.inner_norm = nn.LayerNorm(width)
        self.inner = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Words (n, L, width), patches (n, P, width) → words, and weights (n, heads, L, P)."""
        gathered, weights = self.attention(self.words_norm(words), patches)
        words = words + self.dropout(gathered)
        return words + self.dropout(self.inner(self.inner_norm(words))), weights


class RerankerNetwork(nn.Module):
    """How well a text fits a picture, seen word by word and patch by patch.

    Words never see one another here (the text encoder has mixed them already), so padding
    cannot leak: the score is a mean over the words that the mask keeps.
    """

    def __init__(self, shape: RerankerShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words_in = nn.Linear(shape.token_dim, shape.width)
        self.patches_in = nn.Linear(shape.token_dim, shape.width)
        # Where a patch lies matters ("under", "in front of"); zero at first, it is learnt.
        self.position = nn.Parameter(torch.zeros(shape.patches, shape.width))
        self.patches_norm = nn.LayerNorm(shape.width)
        self.layers = nn.ModuleList(
            CrossAttentionLayer(shape.width, shape.heads, dropout) for _ in range(shape.layers)
        )
        self.out_norm = nn.LayerNorm(shape.width)
        self.head = nn.Sequential(
            nn.Linear(shape.width, shape.width), nn.GELU(), nn.Linear(shape.width, 1)
        )

    def forward(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Score n pairs.

        Args:
            words: word tokens, float (n, L, token_dim).
            mask: bool (n, L), True where there is a word.
            patches: patch tokens as the encoder stores them, int8 (n, P, token_dim).

        Returns:
            Scores, float (n,), larger is better, and the last layer's attention averaged over
            its heads, float (n, L, P).
        """
        seen = self.patches_in(patches.to(words.dtype) * self.shape.patch_scale)
        seen = self.patches_norm(seen + self.position)
        asked = self.words_in(words)
        weights = asked
        for layer in self.layers:
            asked, weights = layer(asked, seen)
        # A score for each word, then their mean: a word that fits nothing pulls it down.
        word_scores = self.head(self.out_norm(asked)).squeeze(-1)
        kept = mask.to(words.dtype)
        scores = (word_scores * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1.0)
        return scores, weights.mean(dim=1)


class OneQuestion(nn.Module):
    """The network as it is exported: the words of one question against n pictures."""

    def __init__(self, network: RerankerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Words (1, L, d), mask (1, L), patches (n, P, d) → scores (n,), attention (n, L, P)."""
        n = patches.shape[0]
        scores, attention = self.network(
            words.expand(n, -1, -1), mask.bool().expand(n, -1), patches
        )
        return scores, attention
