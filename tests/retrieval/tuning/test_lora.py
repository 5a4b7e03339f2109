"""Low-rank updates: nought at first, all that is trained, and gone once they are merged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retrieval.tuning.lora import add_low_rank_updates, merge_low_rank_updates


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(8, 16), block, nn.LayerNorm(16))


def _step(network: nn.Module) -> None:
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1.0)
    network(torch.ones(2, 3, 8)).square().mul(torch.arange(16)).mean().backward()
    optimiser.step()


def test_nothing_changes_until_it_is_trained(network: nn.Module) -> None:
    inputs = torch.randn(2, 3, 8)
    before = network(inputs)
    # The attention's joined matrix and its output, two of the block's maps, one before it.
    assert add_low_rank_updates(network, rank=2) == 5
    assert torch.allclose(network(inputs), before, atol=1e-6)


def test_only_updates_are_trained_and_merging_keeps_what_they_do(network: nn.Module) -> None:
    inputs = torch.randn(2, 3, 8)
    names = list(network.state_dict())
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = network(inputs).detach()
    add_low_rank_updates(network, rank=2)
    # Both factors move only once the second one is no longer nought.
    _step(network)
    _step(network)
    trained = network(inputs).detach()
    assert not torch.allclose(trained, before, atol=1e-4)
    merge_low_rank_updates(network)
    assert list(network.state_dict()) == names or set(network.state_dict()) == set(names)
    assert torch.allclose(network(inputs), trained, atol=1e-5)
    changed = network.state_dict()
    assert torch.equal(changed["2.weight"], weights["2.weight"])
    difference = changed["1.linear1.weight"] - weights["1.linear1.weight"]
    assert torch.linalg.matrix_rank(difference, tol=1e-5) <= 2


def test_layers_that_are_to_be_trained_whole_get_no_update(network: nn.Module) -> None:
    first = network[0]
    assert add_low_rank_updates(network, rank=2, whole=[first]) == 4
    assert first.weight.requires_grad
    assert not network[2].weight.requires_grad
