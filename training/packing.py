"""Weights in four bits, unpacked by arithmetic that every ONNX runtime knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BLOCK = 32
_LEVELS = 7


class PackedEmbedding(nn.Module):
    """A table of vectors in four bits: two to a byte, with a scale for each block of 32."""

    packed: Tensor
    scales: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        rows, width = table.shape
        blocks = table.detach().view(rows, width // _BLOCK, _BLOCK)
        scales = blocks.abs().amax(dim=-1, keepdim=True).clamp_min(1e-9) / _LEVELS
        # The scale is kept in sixteen bits, so the codes must be those that suit the rounded one.
        scales = scales.half()
        codes = (blocks / scales.float()).round().clamp(-_LEVELS, _LEVELS) + 8
        low, high = codes.view(rows, width).to(torch.uint8).chunk(2, dim=1)
        self.register_buffer("packed", low + high * 16)
        self.register_buffer("scales", scales.squeeze(-1))

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 (n, L) → vectors float32 (n, L, width)."""
        # As integers by arithmetic rather than bit operations, which fewer runtimes know.
        packed = self.packed[ids].to(torch.int32)
        high = torch.div(packed, 16, rounding_mode="floor")
        codes = torch.cat([packed - high * 16, high], dim=-1).float() - 8.0
        scales = self.scales[ids].float().unsqueeze(-1)
        blocks = codes.reshape(*scales.shape[:-1], _BLOCK) * scales
        return blocks.flatten(-2)


class PackedLinear(nn.Module):
    """A linear layer whose weights are kept as a `PackedEmbedding` keeps its table."""

    bias: Tensor
    rows: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.table = PackedEmbedding(layer.weight)
        self.register_buffer("bias", layer.bias.detach().clone())
        self.register_buffer("rows", torch.arange(layer.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) → (n, out)."""
        product: Tensor = x @ self.table(self.rows).T + self.bias
        return product
