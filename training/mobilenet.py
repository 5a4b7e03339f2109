"""MobileNetV2 (Sandler et al. 2018) in PyTorch, built from an operator list and its weights.

The network is split in two: a `trunk` that stays frozen, so that its activations can be
computed once, and a `tail` that is fine-tuned. It knows nothing of captions or of heads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

TRUNK_CHANNELS = 96
FEATURE_CHANNELS = 1280
TRUNK_STRIDE = 16
FEATURE_STRIDE = 32
# (expansion, channels, repeats, stride) of each stage, as in table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
LAST_STAGE = (6, 320, 1, 1)
TRUNK_STAGES = 5


class SameConv(nn.Module):
    """A convolution with batch norm folded in, padded `same` as TensorFlow does, then ReLU6.

    With stride 2 on an even side TensorFlow pads one row at the far end only, where PyTorch
    would pad both ends: the weights expect the former.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = True,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups)
        self.pad_end = kernel // 2 if stride == 2 else 0
        self.relu6 = relu6

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) → (n, out, h / stride, w / stride); h and w even where stride is 2."""
        if self.pad_end:
            x = F.pad(x, (0, self.pad_end, 0, self.pad_end))
        x = self.conv(x)
        return F.hardtanh(x, 0.0, 6.0) if self.relu6 else x


class InvertedResidual(nn.Module):
    """Expand with 1×1, filter each channel with 3×3, project with 1×1; add the input if it fits."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers = [SameConv(in_channels, hidden, 1)] if expansion > 1 else []
        layers.append(SameConv(hidden, hidden, 3, stride, groups=hidden))
        layers.append(SameConv(hidden, out_channels, 1, relu6=False))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) → (n, out, h / stride, w / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Pixels in [-1, 1] to a map of features; `classifier` gives the 1,001 ImageNet logits."""

    def __init__(self, classes: int = 1001) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            SameConv(3, 32, 3, stride=2), *_stages(32, STAGES[:TRUNK_STAGES])
        )
        self.tail = nn.Sequential(
            *_stages(TRUNK_CHANNELS, (STAGES[TRUNK_STAGES], LAST_STAGE)),
            SameConv(LAST_STAGE[1], FEATURE_CHANNELS, 1),
        )
        self.classifier = nn.Linear(FEATURE_CHANNELS, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, S, S) in [-1, 1] → (n, 1280, S / 32, S / 32), each value in [0, 6]."""
        features: Tensor = self.tail(self.trunk(pixels))
        return features

    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution, in the order in which it runs."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]


@dataclass(frozen=True)
class StartWeights:
    """A folder with `graph.json` (operators in order) and `weights.npz`, as TFLite exported it."""

    folder: Path

    def network(self) -> MobileNetV2:
        """The network with these weights; raises ValueError where the operators do not match."""
        network = MobileNetV2()
        operators = _weighted_operators(json.loads((self.folder / "graph.json").read_text()))
        weights = np.load(self.folder / "weights.npz")
        convolutions = network.convolutions()
        if len(operators) != len(convolutions) + 1:
            raise ValueError(f"expected {len(convolutions) + 1} operators, found {len(operators)}")
        for operator, convolution in zip(operators, convolutions, strict=False):
            if operator["stride"] != convolution.stride[0]:
                raise ValueError(f"stride of {operator['weight']} does not match")
            _copy(convolution.weight, weights[operator["weight"]])
            _copy(_bias(convolution), weights[operator["bias"]])
        _copy(network.classifier.weight, weights[operators[-1]["weight"]][:, :, 0, 0])
        _copy(network.classifier.bias, weights[operators[-1]["bias"]])
        return network


def random_network(seed: int) -> MobileNetV2:
    """A network with random weights, for runs that only prove that the stages fit together."""
    torch.manual_seed(seed)
    network = MobileNetV2()
    for convolution in network.convolutions():
        nn.init.kaiming_normal_(convolution.weight, mode="fan_in")
        nn.init.zeros_(_bias(convolution))
    return network


def _stages(channels: int, stages: tuple[tuple[int, int, int, int], ...]) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for expansion, out_channels, repeats, stride in stages:
        for repeat in range(repeats):
            first = repeat == 0
            blocks.append(
                InvertedResidual(channels, out_channels, stride if first else 1, expansion)
            )
            channels = out_channels
    return blocks


def _weighted_operators(graph: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [operator for operator in graph if "weight" in operator]


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias


def _copy(target: Tensor, source: np.ndarray) -> None:
    if tuple(target.shape) != source.shape:
        raise ValueError(f"expected shape {tuple(target.shape)}, found {source.shape}")
    with torch.no_grad():
        target.copy_(torch.from_numpy(source))
