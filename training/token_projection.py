"""The projections that make patch and word tokens: the main directions of what goes in.

Principal components keep, of all linear maps to as many dimensions, the most of the variance, so
that a reranker trained later sees as much as the tokens' size allows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Tokens are kept in eight bits: four standard deviations reach the largest code, 127.
_DEVIATIONS = 4.0


def principal_directions(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean (d,) of samples (n, d) and their `count` main directions (count, d), orthonormal.

    Directions that the samples do not have (count > rank) are zero.
    """
    mean = samples.mean(dim=0)
    covariance = torch.cov(samples.T.double())
    _values, vectors = torch.linalg.eigh(covariance)
    directions = vectors.flip(1).T[:count].float()
    found = torch.zeros(count, samples.shape[1])
    found[: len(directions)] = directions
    return mean, found


@torch.no_grad()
def set_projection(layer: nn.Linear | nn.Conv2d, samples: Tensor) -> float:
    """Make a layer project on the main directions of samples (n, d), about their mean.

    Returns the step of an eight-bit code that holds nearly all of the projections.
    """
    mean, directions = principal_directions(samples, layer.weight.shape[0])
    layer.weight.copy_(directions.view_as(layer.weight))
    assert layer.bias is not None
    layer.bias.copy_(-directions @ mean)
    deviation = ((samples - mean) @ directions.T).std()
    return float(_DEVIATIONS * deviation / 127.0)
