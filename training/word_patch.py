"""The reranker's part of the joint training: words against patches, for all pairs of a batch.

Trained with the towers from the start, because tokens of towers that are done already know the
training pictures by heart: a reranker that learns from those does not generalise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from retrieval.rerankers.training.network import RerankerNetwork


def without_marks(mask: Tensor) -> Tensor:
    """The mask, bool (n, L), less each text's first and last token, its marks."""
    inner = mask.clone()
    inner[:, 0] = False
    inner[torch.arange(len(mask)), mask.sum(dim=1) - 1] = False
    return inner


def word_patch_loss(
    network: RerankerNetwork,
    words: Tensor,
    mask: Tensor,
    patches: Tensor,
    targets: Tensor,
    *,
    group: int,
    hidden: float,
    rng: np.random.Generator,
) -> Tensor:
    """Symmetric cross-entropy over all pairs within groups of a batch.

    Args:
        words: word tokens, float (n, L, token_dim), with `mask` bool (n, L).
        patches: patch tokens, float (n, P, token_dim); row i belongs to text i.
        targets: (n, n), how much each picture is right for each text.
        group: texts and pictures that compete with one another.
        hidden: the share of patches that is hidden, the same ones for all of a group.
    """
    losses = []
    count = patches.shape[1]
    seen = max(1, round((1.0 - hidden) * count))
    for start in range(0, len(words), group):
        part = slice(start, start + group)
        shown = torch.from_numpy(np.sort(rng.permutation(count)[:seen]))
        scores = network.every_pair(words[part], _some(mask[part]), patches[part], shown)
        wanted = targets[part, part]
        by_text = wanted / wanted.sum(dim=1, keepdim=True)
        by_picture = wanted.T / wanted.T.sum(dim=1, keepdim=True)
        losses.append(
            -0.5
            * (
                (by_text * scores.log_softmax(dim=1)).sum(dim=1).mean()
                + (by_picture * scores.T.log_softmax(dim=1)).sum(dim=1).mean()
            )
        )
    return torch.stack(losses).mean()


def _some(mask: Tensor) -> Tensor:
    """The mask with the second token, the first word, for texts that have lost all of theirs."""
    kept = mask.clone()
    kept[~mask.any(dim=1), min(1, mask.shape[1] - 1)] = True
    return kept
