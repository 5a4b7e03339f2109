"""Random views of pictures, made in batches on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_AREA = 0.45
_SKEW = 0.3
_COLOUR = 0.3


def random_views(pictures: Tensor, side_px: int, *, mirror: bool = True) -> Tensor:
    """Pictures uint8 (n, 3, S, S) → views (n, 3, side_px, side_px), floats in [-1, 1].

    Each a random crop, maybe mirrored, with brightness, contrast and saturation shifted; never the
    hue, since captions name colours.
    """
    n, device = len(pictures), pictures.device
    area = torch.empty(n, device=device).uniform_(_LEAST_AREA, 1.0).sqrt()
    skew = torch.empty(n, device=device).uniform_(-_SKEW, _SKEW).exp()
    width, height = (area * skew).clamp(max=1.0), (area / skew).clamp(max=1.0)
    theta = torch.zeros(n, 2, 3, device=device)
    sign = torch.ones(n, device=device)
    if mirror:
        sign = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    theta[:, 0, 0], theta[:, 1, 1] = width * sign, height
    theta[:, 0, 2] = torch.empty(n, device=device).uniform_(-1.0, 1.0) * (1.0 - width)
    theta[:, 1, 2] = torch.empty(n, device=device).uniform_(-1.0, 1.0) * (1.0 - height)
    grid = F.affine_grid(theta, [n, 3, side_px, side_px], align_corners=False)
    views = F.grid_sample(
        pictures.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return _normalised(_recoloured(views))


def plain_views(pictures: Tensor, side_px: int) -> Tensor:
    """Pictures uint8 (n, 3, S, S) → (n, 3, side_px, side_px), floats in [-1, 1]."""
    pixels = pictures.float()
    if pixels.shape[-1] != side_px:
        pixels = F.interpolate(
            pixels, (side_px, side_px), mode="bicubic", align_corners=False, antialias=True
        ).clamp(0.0, 255.0)
    return _normalised(pixels)


def _recoloured(pixels: Tensor) -> Tensor:
    shape = (len(pixels), 1, 1, 1)

    def factor() -> Tensor:
        return torch.empty(shape, device=pixels.device).uniform_(1.0 - _COLOUR, 1.0 + _COLOUR)

    grey = pixels.mean(dim=1, keepdim=True)
    pixels = grey + (pixels - grey) * factor()
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factor()
    return (pixels * factor()).clamp(0.0, 255.0)


def _normalised(pixels: Tensor) -> Tensor:
    return pixels / 127.5 - 1.0
