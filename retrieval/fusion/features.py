"""Layers that make one feature vector of several modalities' vectors, in PyTorch.

For models that decide from a picture and a text together (`examples/fusion_classifier.py` trains
one); nothing that answers a question imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConcatenationFusion(nn.Module):
    """All vectors end to end, then one linear map: out = W [x₁; x₂; …] + b.

    The map may weigh every feature of every modality on its own, at the price of parameters that
    grow with the sum of the widths. Called joint representation by concatenation in Baltrušaitis,
    Ahuja and Morency, *Multimodal Machine Learning: A Survey and Taxonomy* (2019).
    """

    def __init__(self, dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        _require_modalities(dims)
        self.projection = nn.Linear(sum(dims), out_dim)

    def forward(self, *features: Tensor) -> Tensor:
        """Vectors float (n, dims[i]), one tensor for each modality → (n, out_dim)."""
        fused: Tensor = self.projection(torch.cat(features, dim=-1))
        return fused


class WeightedAverageFusion(nn.Module):
    """Each vector mapped to one width, then their average with learnt weights: Σᵢ wᵢ (Wᵢ xᵢ + bᵢ).

    w is the softmax of one learnt number for each modality, so that weights are positive and sum
    to one, and say how much the model relies on each modality. They start out equal. The scheme
    is that of layer mixing in Peters et al., *Deep Contextualized Word Representations* (2018),
    with modalities in place of layers.
    """

    def __init__(self, dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        _require_modalities(dims)
        self.projections = nn.ModuleList(nn.Linear(dim, out_dim) for dim in dims)
        self.logits = nn.Parameter(torch.zeros(len(dims)))

    @property
    def weights(self) -> Tensor:
        """The weights of the modalities, float (m,), positive, summing to one."""
        return self.logits.softmax(dim=0)

    def forward(self, *features: Tensor) -> Tensor:
        """Vectors float (n, dims[i]), one tensor for each modality → (n, out_dim)."""
        projected = torch.stack(
            [map_(x) for map_, x in zip(self.projections, features, strict=True)], dim=0
        )
        return torch.einsum("m,mnd->nd", self.weights, projected)


def _require_modalities(dims: Sequence[int]) -> None:
    if not dims or min(dims) < 1:
        raise ValueError(f"Fusion needs the width of at least one modality, not {list(dims)}.")
