"""Does this caption belong to this picture? Four classifiers over the compact model's vectors.

`python -m examples.fusion_classifier --captions FILE --images DIR`, or `--tiny` for the photographs
that the scikit-image and scikit-learn wheels carry. A picture branch and a text branch are joined
by concatenation or by a learnt weighted average. Every second pair has a caption of another
picture, and each caption comes once rightly and once wrongly, so that either branch alone can only
guess. Pictures are held out whole.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.encoders.registry import load_encoder
from retrieval.evaluation.captions import CaptionedImage, read_captions
from retrieval.evaluation.encoded_set import EncodedSet, encode_set
from retrieval.fusion.features import ConcatenationFusion, WeightedAverageFusion

WIDTH = 256
HELD_OUT_SHARE = 0.25
PAIRS_A_BATCH = 256


@dataclass(frozen=True)
class Pairs:
    """n pairs: picture vectors and text vectors (n, dim), and whether they belong, float (n,)."""

    pictures: Tensor
    texts: Tensor
    belongs: Tensor


class ImageOnly(nn.Module):
    """The picture's vector mapped to the common width; the text is not looked at."""

    def __init__(self, dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dims[0], out_dim)

    def forward(self, picture: Tensor, text: Tensor) -> Tensor:
        """(n, dims[0]), (n, dims[1]) → (n, out_dim)."""
        projected: Tensor = self.projection(picture)
        return projected


class TextOnly(nn.Module):
    """The text's vector mapped to the common width; the picture is not looked at."""

    def __init__(self, dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dims[1], out_dim)

    def forward(self, picture: Tensor, text: Tensor) -> Tensor:
        """(n, dims[0]), (n, dims[1]) → (n, out_dim)."""
        projected: Tensor = self.projection(text)
        return projected


class PairClassifier(nn.Module):
    """A fusion of both branches and a small perceptron that decides."""

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.fusion = fusion
        self.head = nn.Sequential(
            nn.GELU(), nn.Dropout(0.2), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1)
        )

    def forward(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Logits (n,) that the texts belong to the pictures, from unit vectors (n, dim)."""
        # Unit vectors have entries far below one, which a perceptron learns from slowly.
        scale = pictures.shape[1] ** 0.5
        logits: Tensor = self.head(self.fusion(scale * pictures, scale * texts)).squeeze(-1)
        return logits


FUSIONS = {
    "picture only": ImageOnly,
    "text only": TextOnly,
    "concatenation": ConcatenationFusion,
    "weighted average": WeightedAverageFusion,
}


def main(arguments: list[str] | None = None) -> None:
    """Encode, train the four classifiers, print their accuracy on pictures held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split", help="keep to one split of the captions")
    parser.add_argument("--pictures", type=int, help="use at most so many pictures")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="the wheels' photographs")
    chosen = parser.parse_args(arguments)
    if chosen.tiny:
        from samples import photos

        with tempfile.TemporaryDirectory() as folder:
            photos.copy_photos(Path(folder))
            encoded = _encode(read_captions(photos.CAPTIONS), Path(folder))
    elif chosen.captions is None or chosen.images is None:
        parser.error("give --captions and --images, or --tiny")
    else:
        pictures = read_captions(chosen.captions, split=chosen.split)
        encoded = _encode(pictures[: chosen.pictures], chosen.images)
    training, held_out = split_pairs(encoded)
    print(f"{len(training.belongs)} pairs to learn from, {len(held_out.belongs)} held out")
    for name, accuracy in compare(training, held_out, chosen.epochs).items():
        print(f"{name:17} {100 * accuracy:5.1f} % right")


def compare(training: Pairs, held_out: Pairs, epochs: int, seed: int = 0) -> dict[str, float]:
    """The accuracy of each fusion on the pairs held out, in [0, 1], by the fusion's name."""
    dims = (training.pictures.shape[1], training.texts.shape[1])
    accuracies = {}
    for name, kind in FUSIONS.items():
        torch.manual_seed(seed)
        classifier = PairClassifier(kind(dims, WIDTH))
        _train(classifier, training, epochs)
        accuracies[name] = _accuracy(classifier, held_out)
    return accuracies


def split_pairs(encoded: EncodedSet, seed: int = 0) -> tuple[Pairs, Pairs]:
    """Pairs to learn from and pairs held out, with no picture and no caption in common."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(encoded.names))
    count = max(2, round(HELD_OUT_SHARE * len(order)))
    return _pairs(encoded, order[count:], rng), _pairs(encoded, order[:count], rng)


def _encode(pictures: Sequence[CaptionedImage], images: Path) -> EncodedSet:
    return encode_set(load_encoder(), pictures, images)


def _pairs(encoded: EncodedSet, pictures: NDArray[np.int64], rng: np.random.Generator) -> Pairs:
    """Each caption with its own picture, and with another of these pictures."""
    captions = np.flatnonzero(np.isin(encoded.owner, pictures))
    own = encoded.owner[captions]
    # Wrong pictures are the right ones in another order: each picture is as often wrong as right.
    wrong = _deranged(own, rng)
    kept = wrong != own
    place = np.concatenate([own[kept], wrong[kept]])
    words = np.concatenate([captions[kept], captions[kept]])
    belongs = np.concatenate([np.ones(kept.sum()), np.zeros(kept.sum())])
    return Pairs(
        torch.from_numpy(encoded.image_vectors[place]),
        torch.from_numpy(encoded.text_vectors[words]),
        torch.from_numpy(belongs.astype(np.float32)),
    )


def _deranged(own: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The same pictures in another order in which, as far as that can be, none keeps its place.

    Captions of one picture lie together, so a shift by more than any picture has does it.
    """
    most = int(np.unique(own, return_counts=True)[1].max(initial=1))
    if len(own) < 2 * most + 1:
        return np.roll(own, most)
    return np.roll(own, int(rng.integers(most, len(own) - most)))


def _train(classifier: PairClassifier, pairs: Pairs, epochs: int) -> None:
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=0.05)
    classifier.train()
    for _ in range(epochs):
        order = torch.randperm(len(pairs.belongs))
        for start in range(0, len(order), PAIRS_A_BATCH):
            rows = order[start : start + PAIRS_A_BATCH]
            logits = classifier(pairs.pictures[rows], pairs.texts[rows])
            loss = F.binary_cross_entropy_with_logits(logits, pairs.belongs[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()


def _accuracy(classifier: PairClassifier, pairs: Pairs) -> float:
    classifier.eval()
    with torch.inference_mode():
        decided = classifier(pairs.pictures, pairs.texts) > 0
    return float((decided == (pairs.belongs > 0.5)).float().mean())


if __name__ == "__main__":
    main()
