"""Low-rank updates of weights that stay as they are, in PyTorch.

Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models* (ICLR 2022). As a parametrisation
of the weight itself, so that it goes through whatever way a layer uses its weight, the joined
matrix of torch's own attention included, and is merged at the end: what is saved is an ordinary
model.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """W + (α / rank) · B A, with A (rank, inputs) drawn small and B (outputs, rank) nought."""

    def __init__(self, outputs: int, inputs: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.a = nn.Parameter(nn.init.kaiming_uniform_(Tensor(rank, inputs), a=5**0.5))
        self.b = nn.Parameter(Tensor(outputs, rank).zero_())
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """The weight (outputs, inputs) with its update."""
        return weight + self.scale * (self.b @ self.a)


def add_low_rank_updates(
    network: nn.Module,
    rank: int,
    *,
    alpha: float | None = None,
    whole: Sequence[nn.Module] = (),
) -> int:
    """Freeze a network and give each matrix of its layers a low-rank update; returns how many.

    `alpha` is `rank` by default, so that the update counts in full. The layers `whole` get none,
    and all of their weights are left to be trained.
    """
    network.requires_grad_(False)
    found = [
        (module, name)
        for module in network.modules()
        if not any(module is layer for layer in whole)
        for name in _matrices(module)
        if getattr(module, name, None) is not None
    ]
    for module, name in found:
        outputs, inputs = getattr(module, name).shape
        update = LowRankUpdate(outputs, inputs, rank, alpha or float(rank))
        update.to(getattr(module, name).device)
        parametrize.register_parametrization(module, name, update)
    for layer in whole:
        layer.requires_grad_(True)
    return len(found)


def merge_low_rank_updates(network: nn.Module) -> None:
    """Make the updates part of the weights, so that none is left."""
    for module in network.modules():
        for name in _matrices(module):
            if parametrize.is_parametrized(module, name):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _matrices(module: nn.Module) -> tuple[str, ...]:
    """The names of a layer's weights that are matrices of a linear map."""
    if isinstance(module, nn.MultiheadAttention):
        return ("in_proj_weight",)
    return ("weight",) if isinstance(module, nn.Linear) else ()
