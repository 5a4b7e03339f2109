"""A shared space: each modality mapped on its own, so that a cosine compares them. PyTorch.

What CLIP does (Radford et al., *Learning Transferable Visual Models From Natural Language
Supervision*, 2021), here behind towers that have vectors of one width already. It is the one fusion
that an index can be made of: a picture's vector does not depend on the question.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualMap(nn.Module):
    """v + W v + b, brought to unit length; W and b begin at nought, so that nothing is lost."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.map = nn.Linear(dim, dim)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors (n, dim) → unit vectors (n, dim)."""
        return F.normalize(vectors + self.map(vectors), dim=-1)


class SharedSpace(nn.Module):
    """Pictures and texts, each through a map of its own, into one space.

    With `maps_images` false only texts are moved, to where the pictures are.
    """

    def __init__(self, dim: int, *, maps_images: bool = True) -> None:
        super().__init__()
        self.texts = ResidualMap(dim)
        self.images = ResidualMap(dim) if maps_images else nn.Identity()

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Cosines (t, p) of texts (t, dim) with pictures (p, dim)."""
        cosines: Tensor = self.texts(texts) @ self.images(images).T
        return cosines
