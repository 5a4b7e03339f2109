"""Heads in PyTorch: trained on vectors that the towers have made once and for all."""

from __future__ import annotations

import torch
from torch import Tensor

from retrieval.encoders.heads import Head, Heads
from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.metrics import Integers
from retrieval.fusion.shared_space import ResidualMap, SharedSpace
from retrieval.tuning.data import Side


class HeadsTraining:
    """Heads over the vectors of an encoded set, for `retrieval.tuning.train`."""

    def __init__(self, encoded: EncodedSet, side: Side) -> None:
        self.network = SharedSpace(encoded.image_vectors.shape[1], maps_images=side == "both")
        self._images = torch.from_numpy(encoded.image_vectors)
        self._texts = torch.from_numpy(encoded.text_vectors)

    def image_vectors(self, images: Integers) -> Tensor:
        """Unit vectors (n, dim) of pictures by their positions."""
        moved: Tensor = self.network.images(self._images[torch.from_numpy(images)])
        return moved

    def text_vectors(self, captions: Integers) -> Tensor:
        """Unit vectors (n, dim) of captions by their positions."""
        moved: Tensor = self.network.texts(self._texts[torch.from_numpy(captions)])
        return moved

    def exported(self) -> Heads:
        """The heads as an encoder takes them."""
        images = self.network.images
        return Heads(
            texts=_exported(self.network.texts),
            images=_exported(images) if isinstance(images, ResidualMap) else None,
        )


def _exported(trained: ResidualMap) -> Head:
    """The same map for NumPy."""
    weight, bias = (p.detach().cpu().numpy().copy() for p in trained.map.parameters())
    return Head(weight, bias)
