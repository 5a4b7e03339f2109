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
from retrieval.fusion.features import ConcatenationFusion

_FIRST_SCALE = 14.0
_LARGEST_SCALE = 100.0
_HIDDEN = -1e4


@dataclass(frozen=True)
class RerankerShape:
    """The sizes of a reranker.

    `token_dim` is that of the encoder's patch tokens, `word_dim` that of its word tokens, the same
    where it is 0; `patches` the number of cells of its grid; `patch_scale` what an int8 patch token
    is multiplied by to become a float. `whole_rows`: so many rows after the grid's describe the
    picture as a whole.
    """

    token_dim: int
    patches: int
    patch_scale: float
    width: int = 192
    heads: int = 4
    word_dim: int = 0
    whole_rows: int = 0

    @property
    def words(self) -> int:
        """The size of a word token."""
        return self.word_dim or self.token_dim

    @property
    def rows(self) -> int:
        """Patch tokens of a picture, the rows for the whole of it included."""
        return self.patches + self.whole_rows


class RerankerNetwork(nn.Module):
    """How well a text fits a picture, seen word by word and patch by patch, and as a whole.

    Each word gathers what it needs from the patches by cross-attention, and is compared, by a
    cosine, with what it gathered; the score is the mean over the words, weighted by how much each
    matters, times a learnt scale. In the manner of Lee et al., *Stacked Cross Attention for
    Image-Text Matching* (ECCV 2018), with learnt projections and several heads. One more slot
    beside the patches stands for nothing: a word that is not in the picture looks there. Where the
    picture has rows for the whole of it, these are compared with the whole text and added. Words
    never see one another here (the text encoder has mixed them already), so that all pairs of a
    batch are quick to score and padding cannot leak.
    """

    def __init__(self, shape: RerankerShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words_in = nn.Linear(shape.words, shape.width)
        self.words_norm = nn.LayerNorm(shape.width)
        self.patches_in = nn.Linear(shape.token_dim, shape.width)
        # Where a patch lies matters ("sky", "floor"); zero at first, it is learnt.
        self.position = nn.Parameter(torch.zeros(shape.patches, shape.width))
        self.patches_norm = nn.LayerNorm(shape.width)
        self.nothing = nn.Parameter(0.02 * torch.randn(shape.width))
        self.attention = MultiHeadAttention(shape.width, shape.heads)
        self.wanted = nn.Linear(shape.width, shape.width)
        self.importance = nn.Linear(shape.width, 1)
        # Equal importance at first.
        nn.init.zeros_(self.importance.weight)
        self.scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))
        self.whole_text: nn.Linear | None = None
        self.whole_picture: ConcatenationFusion | None = None
        if shape.whole_rows:
            self.whole_text = nn.Linear(shape.width, shape.width)
            self.whole_picture = ConcatenationFusion(
                [shape.token_dim] * shape.whole_rows, shape.width
            )
            self.whole_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Score n pairs.

        Args:
            words: word tokens, float (n, L, word_dim).
            mask: bool (n, L), True where there is a word.
            patches: patch tokens as the encoder stores them, int8 (n, rows, token_dim).

        Returns:
            Scores, float (n,), larger is better, and the attention averaged over its heads,
            float (n, L, P): what is left to a sum of one looks at nothing.
        """
        return self.score_pairs(words, mask, self.dequantised(patches))

    def score_pairs(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, for patch tokens that are floats."""
        asked = self._asked(words)
        gathered, weights = self.attention(asked, self._seen(patches[:, : self.shape.patches]))
        fits = self._fits(asked, gathered)
        scores = (fits * self._importance(asked, mask)).sum(dim=-1) * _bounded(self.scale)
        if self.whole_text is not None:
            texts, pictures = self._whole_texts(asked, mask), self._whole_pictures(patches)
            scores = scores + (texts * pictures).sum(dim=-1) * _bounded(self.whole_scale)
        return scores, weights.mean(dim=1)[:, :, : self.shape.patches]

    def score_question(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, for one text and n pictures, in less time.

        Words, float (1, L, word_dim), with `mask` bool (1, L); patches int8 (n, rows, token_dim).
        """
        asked = self._asked(words)
        shown = self.dequantised(patches)
        seen = self._seen(shown[:, : self.shape.patches])
        gathered, weights = self.attention.one_to_many(asked.squeeze(0), seen)
        fits = self._fits(asked, gathered)
        scores = (fits * self._importance(asked, mask)).sum(dim=-1) * _bounded(self.scale)
        if self.whole_text is not None:
            texts, pictures = self._whole_texts(asked, mask), self._whole_pictures(shown)
            scores = scores + (texts * pictures).sum(dim=-1) * _bounded(self.whole_scale)
        return scores, weights.mean(dim=1)[:, :, : self.shape.patches]

    def every_pair(
        self, words: Tensor, mask: Tensor, patches: Tensor, shown: Tensor | None = None
    ) -> Tensor:
        """Scores (b, c) of b texts with each of c pictures, as `forward` gives them pair by pair.

        Args:
            words: float (b, L, word_dim), with `mask` bool (b, L), at least one True a row.
            patches: float (c, rows, token_dim), see `dequantised`.
            shown: int64 (s,), the patches that may be seen, all of them by default.
        """
        asked = self._asked(words)
        importance = self._importance(asked, mask)[mask]
        text = mask.nonzero()[:, 0]
        each = asked[mask]
        gathered = self.attention.every_pair(
            each, self._seen(patches[:, : self.shape.patches], shown)
        )
        fits = self._fits(each, gathered) * importance
        scores = fits.new_zeros(len(patches), len(words)).index_add(1, text, fits)
        scores = scores.T * _bounded(self.scale)
        if self.whole_text is not None:
            texts, pictures = self._whole_texts(asked, mask), self._whole_pictures(patches)
            scores = scores + texts @ pictures.T * _bounded(self.whole_scale)
        return scores

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
        seen = self.patches_norm(self.patches_in(self.dropout(patches)) + position)
        nothing = self.nothing.to(seen.dtype).expand(len(seen), 1, -1)
        return torch.cat([seen, nothing], dim=1)

    def _fits(self, asked: Tensor, gathered: Tensor) -> Tensor:
        fits: Tensor = F.cosine_similarity(self.wanted(asked), gathered, dim=-1, eps=1e-6)
        return fits

    def _importance(self, asked: Tensor, mask: Tensor) -> Tensor:
        """How much each word matters, float (n, L), summing to one over the words of a text."""
        logits: Tensor = self.importance(asked).squeeze(-1).masked_fill(~mask, _HIDDEN)
        return logits.softmax(dim=-1)

    def _whole_texts(self, asked: Tensor, mask: Tensor) -> Tensor:
        """Unit vectors (n, width) of whole texts: the mean of their words, projected."""
        assert self.whole_text is not None
        share = mask.to(asked.dtype)
        mean = (asked * share.unsqueeze(-1)).sum(dim=1) / share.sum(dim=1, keepdim=True).clamp(1.0)
        return F.normalize(self.whole_text(mean), dim=-1)

    def _whole_pictures(self, patches: Tensor) -> Tensor:
        """Unit vectors (n, width) of whole pictures, from the rows after the grid's."""
        assert self.whole_picture is not None
        rows = self.dropout(patches[:, self.shape.patches :])
        return F.normalize(self.whole_picture(*rows.unbind(dim=1)), dim=-1)


class OneQuestion(nn.Module):
    """The network as it is exported: the words of one question against n pictures."""

    def __init__(self, network: RerankerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, words: Tensor, mask: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Words (1, L, d), mask (1, L), patches (n, rows, d) → scores (n,), attention (n, L, P)."""
        scores, attention = self.network.score_question(words, mask.bool(), patches)
        return scores, attention


def _bounded(log_scale: Tensor) -> Tensor:
    return log_scale.exp().clamp(max=_LARGEST_SCALE)
