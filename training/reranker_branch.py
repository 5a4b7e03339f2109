"""The reranker's own eyes: a second tail over the shared trunk, and cross-attention over its grid.

Its first blocks stay as they were pretrained, so that their output is computed once; what follows
is trained for words against patches and for nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.rerankers.training.network import RerankerNetwork
from training.activations import Activations, as_tensor
from training.data import batches
from training.mobilenet import FEATURE_CHANNELS

# Of the tail's blocks, those with 160 channels.
FROZEN_BLOCKS = 3
_SAMPLE = 64


class RerankerBranch(nn.Module):
    """Trunk activations → patch tokens, and the network that compares words with them."""

    def __init__(self, tail: nn.Sequential, network: RerankerNetwork, dropout: float = 0.1) -> None:
        super().__init__()
        self.frozen = copy.deepcopy(tail[:FROZEN_BLOCKS]).requires_grad_(False)
        self.tail = copy.deepcopy(tail[FROZEN_BLOCKS:])
        self.dropout = nn.Dropout2d(dropout)
        self.tokens = nn.Conv2d(FEATURE_CHANNELS, network.shape.token_dim, 1)
        self.network = network

    def forward(self, activations: Tensor) -> Tensor:
        """Trunk activations (n, 96, h, w) → tokens (n, h·w / 4, token_dim), row by row."""
        return self.patches(self.frozen(activations))

    def patches(self, middle: Tensor) -> Tensor:
        """Activations after the frozen blocks (n, 160, h, w) → tokens (n, h·w, token_dim)."""
        tokens: Tensor = self.tokens(self.dropout(self.tail(middle)))
        return tokens.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def start_at_principal_components(self, middle: Tensor) -> None:
        """Let the tokens start as the main directions of the features, at unit scale."""
        features = self.tail(middle[:_SAMPLE]).flatten(2).transpose(1, 2).flatten(0, 1)
        mean = features.mean(dim=0)
        width = self.tokens.out_channels
        _, _, directions = torch.linalg.svd(features - mean, full_matrices=False)
        if len(directions) < width:
            return
        directions = directions[:width] / ((features - mean) @ directions[:width].T).std()
        self.tokens.weight.copy_(directions[:, :, None, None])
        bias = self.tokens.bias
        assert bias is not None
        bias.copy_(-directions @ mean)


@torch.inference_mode()
def middle_activations(
    branch: RerankerBranch, views: Sequence[Activations], cache: Path, batch_size: int = 32
) -> list[Activations]:
    """Each view's activations after the frozen blocks, (count, h, w, 160), kept in `cache`."""
    found: list[Activations] = []
    for number, view in enumerate(views):
        file = cache / f"middle{number}_{view.shape[1]}.npy"
        if not file.exists():
            parts = [
                branch.frozen(as_tensor(view, np.arange(part.start, part.stop)))
                for part in batches(len(view), batch_size)
            ]
            whole = torch.cat(parts).permute(0, 2, 3, 1).to(torch.float16).numpy()
            np.save(file, np.ascontiguousarray(whole))
        found.append(np.load(file, mmap_mode="r"))
    return found
