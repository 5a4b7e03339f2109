"""The compact reranker as a PyTorch network: words look at patches and a score comes out.

What to train it on and how to run it belong to the modules beside this one and to
`retrieval.rerankers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.fusion.attention import MultiHeadAttention

_FIRST_SCALE = 14.0
_LARGEST_SCALE = 100.0
_HIDDEN = -1e4


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


class RerankerNetwork(nn.Module):
    """How well a text fits a picture, seen word by word and patch by patch.

    Each word gathers what it needs from the patches by cross-attention, and is compared, by a
    cosine, with what it gathered; the score is the mean over the words, weighted by how much each
    matters, times a learnt scale. In the manner of Lee et al., *Stacked Cross Attention for
    Image-Text Matching* (ECCV 2018), with learnt projections and several heads. Words never see
    one another here (the text encoder has mixed them already), so that all pairs of a batch are
    quick to score and padding cannot leak.
    """

    def __init__(self, shape: RerankerShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words_in = nn.Linear(shape.token_dim, shape.width)
        self.words_norm = nn.LayerNorm(shape.width)
        self.patches_in = nn.Linear(shape.token_dim, shape.width)
        # Where a patch lies matters ("sky", "floor"); zero at first, it is learnt.
        self.position = nn.Parameter(torch.zeros(shape.patches, shape.width))
        self.patches_norm = nn.LayerNorm(shape.width)
        self.attention = MultiHeadAttention(shape.width, shape.heads)
        self.wanted = nn.Linear(shape.width, shape.width)
        self.importance = nn.Linear(shape.width, 1)
        # Equal importance at first.
        nn.init.zeros_(self.importance.weight)
        self.scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Score n pairs.

        Args:
            words: word tokens, float (n, L, token_dim).
            mask: bool (n, L), True where there is a word.
            patches: patch tokens as the encoder stores them, int8 (n, P, token_dim).

        Returns:
            Scores, float (n,), larger is better, and the attention averaged over its heads,
            float (n, L, P).
        """
        asked = self._asked(words)
        gathered, weights = self.attention(asked, self._seen(self.dequantised(patches)))
        fits = self._fits(asked, gathered)
        scores = (fits * self._importance(asked, mask)).sum(dim=-1) * self._scale()
        return scores, weights.mean(dim=1)

    def every_pair(
        self, words: Tensor, mask: Tensor, patches: Tensor, shown: Tensor | None = None
    ) -> Tensor:
        """Scores (b, c) of b texts with each of c pictures, as `forward` gives them pair by pair.

        Args:
            words: float (b, L, token_dim), with `mask` bool (b, L), at least one True a row.
            patches: float (c, P, token_dim), see `dequantised`.
            shown: int64 (s,), the patches that may be seen, all of them by default.
        """
        asked = self._asked(words)
        importance = self._importance(asked, mask)[mask]
        text = mask.nonzero()[:, 0]
        asked = asked[mask]
        gathered = self.attention.every_pair(asked, self._seen(patches, shown))
        fits = self._fits(asked, gathered) * importance
        scores = fits.new_zeros(len(patches), len(words)).index_add(1, text, fits)
        return scores.T * self._scale()

    def dequantised(self, patches: Tensor) -> Tensor:
        """Patch tokens as floats, from int8."""
        return patches.float() * self.shape.patch_scale

    def _asked(self, words: Tensor) -> Tensor:
        asked: Tensor = self.words_norm(self.words_in(self.dropout(words)))
        return asked

    def _seen(self, patches: Tensor, shown: Tensor | None = None) -> Tensor:
        position: Tensor = self.position
        if shown is not None:
            patches, position = patches[:, shown], position[shown]
        seen: Tensor = self.patches_norm(self.patches_in(self.dropout(patches)) + position)
        return seen

    def _fits(self, asked: Tensor, gathered: Tensor) -> Tensor:
        fits: Tensor = F.cosine_similarity(self.wanted(asked), gathered, dim=-1, eps=1e-6)
        return fits

    def _importance(self, asked: Tensor, mask: Tensor) -> Tensor:
        """How much each word matters, float (n, L), summing to one over the words of a text."""
        logits: Tensor = self.importance(asked).squeeze(-1).masked_fill(~mask, _HIDDEN)
        return logits.softmax(dim=-1)

    def _scale(self) -> Tensor:
        return self.scale.exp().clamp(max=_LARGEST_SCALE)


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
