"""Cross-modal multi-head attention in PyTorch: words ask, patches of a picture answer.

Used in training only, and exported to ONNX from there; nothing that answers a question
imports it, so that searching needs no torch.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


class MultiHeadAttention(nn.Module):
    """softmax(QKᵀ/√d)V in several heads, after Vaswani et al., *Attention Is All You Need* (2017).

    Queries come from one sequence (words), keys and values from another (patches); with the
    same sequence for both it is self-attention. d is the width of one head, so that the
    products keep unit variance whatever the width and the softmax does not saturate.
    """

    def __init__(self, dim: int, heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        context_dim = dim if context_dim is None else context_dim
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(context_dim, dim)
        self.value = nn.Linear(context_dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(
        self, words: Tensor, patches: Tensor, patch_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let each word gather what it needs from the patches.

        Args:
            words: queries, float (n, L, dim).
            patches: keys and values, float (n, P, context_dim).
            patch_mask: bool (n, P), False where a patch is padding; each row of the batch
                needs at least one True. None means that all patches count.

        Returns:
            What each word gathered, float (n, L, dim), and the attention weights,
            float (n, heads, L, P), whose last axis sums to one.
        """
        queries = self._split(self.query(words))
        keys = self._split(self.key(patches))
        values = self._split(self.value(patches))
        logits = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        if patch_mask is not None:
            logits = logits.masked_fill(~patch_mask[:, None, None, :], float("-inf"))
        weights = logits.softmax(dim=-1)
        gathered = (weights @ values).transpose(1, 2).flatten(2)
        return self.output(gathered), weights

    def every_pair(self, words: Tensor, patches: Tensor) -> Tensor:
        """What each of many words gathers from each of many pictures; for training in batches.

        The same as `forward` for all combinations, without keeping the weights.

        Args:
            words: queries, float (m, dim), of any number of texts end to end.
            patches: keys and values, float (c, P, context_dim).

        Returns:
            What each word gathered, float (c, m, dim).
        """
        queries = self._split(self.query(words).unsqueeze(0)).expand(len(patches), -1, -1, -1)
        keys, values = self._split(self.key(patches)), self._split(self.value(patches))
        gathered = F.scaled_dot_product_attention(queries, keys, values)
        found: Tensor = self.output(gathered.transpose(1, 2).flatten(2))
        return found

    def one_to_many(self, words: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What each word of one text gathers from each of many pictures; for asking.

        The same as `forward`, in another order of multiplying, since the words are few and the
        patches many: the projection of the keys is applied to the queries, and that of the values
        to what was gathered, so that no patch is projected at all. (DeepSeek-AI, *DeepSeek-V2*
        (2024), 2.1.2, absorb the projections of their latent attention alike.)

        Args:
            words: queries, float (L, dim).
            patches: keys and values, float (n, P, context_dim).

        Returns:
            What each word gathered, float (n, L, dim), and the attention weights,
            float (n, heads, L, P).
        """
        length, dim = words.shape
        queries = self._split(self.query(words).unsqueeze(0)).squeeze(0)
        # Biases of keys add the same to all logits of a query, and drop out of the softmax.
        asked = queries @ self.key.weight.view(self.heads, dim // self.heads, -1)
        asked = asked.flatten(0, 1) / math.sqrt(queries.shape[-1])
        weights = (asked @ patches.transpose(-2, -1)).softmax(dim=-1)
        mixed = (weights @ patches).view(-1, self.heads, length, patches.shape[-1])
        values = self.value.weight.view(self.heads, -1, patches.shape[-1])
        gathered = (mixed @ values.transpose(-2, -1)).transpose(1, 2).flatten(2)
        # Weights sum to one, so that the values' bias goes through them as it is.
        gathered = self.output(gathered + self.value.bias)
        return gathered, weights.view(-1, self.heads, length, patches.shape[1])

    def _split(self, x: Tensor) -> Tensor:
        """(n, T, dim) → (n, heads, T, dim / heads)."""
        rows, length, width = x.shape
        return x.view(rows, length, self.heads, width // self.heads).transpose(1, 2)
