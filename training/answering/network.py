"""The built-in answerer as a PyTorch network: a question's words look at a picture's patches.

Each word gathers by cross-attention what it needs from the patches; what the words gathered,
weighted, is joined with what the question is about and with the picture as a whole, and scores
every answer. In the manner of Yang et al., *Stacked Attention Networks for Image Question
Answering* (CVPR 2016), with several heads; words do not see one another here, since the text tower
has mixed them already, so that all questions of a picture are asked at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from retrieval.fusion.attention import MultiHeadAttention

_HIDDEN = -1e4


@dataclass(frozen=True)
class AnswerShape:
    """The sizes of an answerer.

    Patch tokens of a `grid` with even sides and `whole_rows` more, of `token_dim`, which
    `token_scale` makes floats of; word tokens of `word_dim`; vectors of `dim`, the picture's and
    the subject's.
    """

    answers: int
    grid: tuple[int, int]
    whole_rows: int
    token_dim: int
    token_scale: float
    word_dim: int
    dim: int
    width: int = 128
    heads: int = 4

    @property
    def rows(self) -> int:
        """How many rows words look at: four patches make one."""
        return self.grid[0] * self.grid[1] // 4 + self.whole_rows


class AnswerNetwork(nn.Module):
    """Scores of all answers to questions about pictures."""

    def __init__(self, shape: AnswerShape, dropout: float = 0.1, hidden: float = 0.2) -> None:
        """`hidden`: the share of the patches that are not shown in training."""
        super().__init__()
        self.shape = shape
        width = shape.width
        self.words_in = nn.Sequential(nn.Linear(shape.word_dim, width), nn.LayerNorm(width))
        self.patches_in = nn.Linear(shape.token_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(shape.rows, width))
        self.patches_norm = nn.LayerNorm(width)
        # A word that is not in the picture looks there.
        self.nothing = nn.Parameter(0.02 * torch.randn(width))
        self.attention = MultiHeadAttention(width, shape.heads)
        self.importance = nn.Linear(width, 1)
        self.gathered = nn.Linear(2 * width, width)
        self.subject = nn.Linear(shape.dim, width)
        self.picture = nn.Linear(shape.dim, width)
        # Their products, whose sum is the cosine by which pictures are found.
        self.likeness = nn.Linear(shape.dim, width)
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, shape.answers),
        )
        self.dropout = nn.Dropout(dropout)
        self.hidden = hidden

    def forward(
        self, words: Tensor, mask: Tensor, subjects: Tensor, tokens: Tensor, vectors: Tensor
    ) -> Tensor:
        """Score the answers to q questions about each of b pictures.

        Args:
            words: word tokens, float (b, q, L, word_dim), with `mask` bool (b, q, L).
            subjects: vectors of what the questions are about, float (b, q, dim).
            tokens: patch tokens, int8 (b, rows, token_dim).
            vectors: the pictures' vectors, float (b, dim).

        Returns:
            Logits, float (b, q, answers).
        """
        asked = self.words_in(self.dropout(words))
        pictures, questions, length, width = asked.shape
        own = asked.reshape(pictures, questions * length, width)
        gathered, _ = self.attention(own, self._seen(tokens))
        weights = self.importance(asked).masked_fill(~mask.unsqueeze(-1), _HIDDEN).softmax(dim=2)
        found = (weights * gathered.reshape(pictures, questions, length, width)).sum(dim=2)
        pooled = torch.cat([found, (weights * asked).sum(dim=2)], dim=-1)
        whole = vectors.unsqueeze(1)
        # Unit vectors have small numbers: their products smaller ones.
        size = float(self.shape.dim)
        joined = (
            self.gathered(pooled)
            + self.subject(self.dropout(subjects * size**0.5))
            + self.picture(self.dropout(whole * size**0.5))
            + self.likeness(subjects * whole * size)
        )
        logits: Tensor = self.head(joined)
        return logits

    def _seen(self, tokens: Tensor) -> Tensor:
        (height, width), patches = self.shape.grid, tokens.float() * self.shape.token_scale
        fine, whole = patches[:, : height * width], patches[:, height * width :]
        # Four in one: a quarter of the work, for little that is lost.
        squares = fine.reshape(-1, height // 2, 2, width // 2, 2, self.shape.token_dim)
        patches = torch.cat([squares.mean(dim=(2, 4)).flatten(1, 2), whole], dim=1)
        seen = self.patches_norm(self.patches_in(self.dropout(patches)) + self.position)
        if self.training and self.hidden:
            kept = torch.randperm(seen.shape[1])[: int(seen.shape[1] * (1 - self.hidden))]
            seen = seen[:, kept]
        nothing = self.nothing.to(seen.dtype).expand(seen.shape[0], 1, -1)
        return torch.cat([seen, nothing], dim=1)


class OneQuestion(nn.Module):
    """The network as it is exported: one question about n pictures."""

    def __init__(self, network: AnswerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, words: Tensor, mask: Tensor, subject: Tensor, tokens: Tensor, vectors: Tensor
    ) -> Tensor:
        """Logits (n, answers): words (1, L, d), mask (1, L), subject (1, dim); tokens, vectors."""
        n = tokens.shape[0]
        logits: Tensor = self.network(
            words.unsqueeze(0).expand(n, -1, -1, -1),
            mask.bool().unsqueeze(0).expand(n, -1, -1),
            subject.unsqueeze(0).expand(n, -1, -1),
            tokens,
            vectors,
        )
        return logits.squeeze(1)
