"""Fusion layers compute what they say, and learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retrieval.fusion.features import ConcatenationFusion, WeightedAverageFusion

FUSIONS = [ConcatenationFusion, WeightedAverageFusion]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_concatenation_is_one_linear_map_of_both_vectors() -> None:
    fusion = ConcatenationFusion([3, 2], 4)
    image, text = torch.randn(5, 3), torch.randn(5, 2)
    weight, bias = fusion.projection.weight, fusion.projection.bias
    expected = image @ weight[:, :3].T + text @ weight[:, 3:].T + bias
    assert torch.allclose(fusion(image, text), expected, atol=1e-6)


def test_the_weighted_average_is_what_its_formula_says() -> None:
    fusion = WeightedAverageFusion([3, 2], 4)
    with torch.no_grad():
        fusion.logits.copy_(torch.tensor([0.0, 1.0]))
    image, text = torch.randn(5, 3), torch.randn(5, 2)
    e = torch.e
    expected = fusion.projections[0](image) / (1 + e) + fusion.projections[1](text) * e / (1 + e)
    assert torch.allclose(fusion(image, text), expected, atol=1e-6)


def test_weights_start_equal_and_sum_to_one_whatever_is_learnt() -> None:
    fusion = WeightedAverageFusion([3, 3, 3], 4)
    assert torch.allclose(fusion.weights, torch.full((3,), 1 / 3))
    with torch.no_grad():
        fusion.logits.normal_(std=5)
    assert fusion.weights.sum().item() == pytest.approx(1)
    assert (fusion.weights > 0).all()


@pytest.mark.parametrize("kind", FUSIONS)
def test_gradients_reach_every_parameter_and_both_inputs(kind: type[nn.Module]) -> None:
    fusion = kind([3, 2], 4)
    image, text = torch.randn(5, 3, requires_grad=True), torch.randn(5, 2, requires_grad=True)
    fusion(image, text).square().sum().backward()
    for tensor in (image, text, *fusion.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


def test_the_weight_moves_to_the_modality_that_tells() -> None:
    fusion = WeightedAverageFusion([4, 4], 1)
    optimiser = torch.optim.Adam(fusion.parameters(), lr=0.05)
    for _ in range(200):
        telling, noise = torch.randn(64, 4), torch.randn(64, 4)
        loss = (fusion(telling, noise).squeeze(1) - 3 * telling.sum(dim=1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert fusion.weights[0] > 0.7


@pytest.mark.parametrize("kind", FUSIONS)
def test_a_fusion_of_nothing_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="at least one modality"):
        kind([], 4)
