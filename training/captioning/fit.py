"""The captioner's training: cross-entropy over the captions of pictures that are kept as tokens.

Checkpoints let a run that was cut off go on; the clock can bring it to its end.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.averaging import update_average
from training.captioning.network import CaptionDecoder, DecoderShape

Integers = NDArray[np.int64]
_CHECKPOINT = "checkpoint.pt"
_IGNORED = -100
# Batches of pictures with captions of like length hold less padding.
_POOL = 8
_HELD_BATCH = 40


@dataclass(frozen=True)
class CaptionSettings:
    """How the captioner is trained.

    `captions`: in a batch. `minutes`: brings the training to its end by the clock, where it is
    sooner than the epochs. `consensus`: how much more, towards the end, a caption counts that says
    what the picture's others say.
    """

    epochs: int = 10
    captions: int = 80
    rate: float = 1e-3
    warm_up: float = 0.04
    smoothing: float = 0.1
    weight_decay: float = 0.01
    average: float = 0.998
    dropout: float = 0.0
    vector_noise: float = 0.02
    hidden_rows: float = 0.1
    consensus: float = 1.0
    minutes: float | None = None


@dataclass(frozen=True)
class CaptionedTokens:
    """What is learnt from: n pictures with their captions.

    `vectors`: float32 (n, vector_dim). `tokens`: int8 (n, rows, token_dim). `captions`: for each
    picture its captions as word pieces with the end mark. `weights`: of the captions likewise, how
    much each is worth, one on the average.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int8]
    captions: Sequence[Sequence[Sequence[int]]]
    weights: Sequence[Sequence[float]]

    def __len__(self) -> int:
        return len(self.vectors)


Report = Callable[[int, float, float, CaptionDecoder], None]


def train_captioner(
    shape: DecoderShape,
    material: CaptionedTokens,
    settings: CaptionSettings,
    seed: int,
    folder: Path,
    report: Report,
) -> CaptionDecoder:
    """Train, from `folder`'s checkpoint where there is one; the averaged network.

    `report` is told epoch, share of the training, mean loss and average after each epoch.
    """
    run = _Run(shape, material, settings, seed, folder)
    while not run.is_done:
        loss = run.epoch()
        report(run.epochs, run.share, loss, run.average)
        run.save()
    return run.average


class _Run:
    def __init__(
        self,
        shape: DecoderShape,
        material: CaptionedTokens,
        settings: CaptionSettings,
        seed: int,
        folder: Path,
    ) -> None:
        torch.manual_seed(seed)
        self.material, self.settings, self.seed = material, settings, seed
        self.file = folder / _CHECKPOINT
        self.network = CaptionDecoder(shape, settings.dropout)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.epochs, self.steps, self.seconds = 0, 0, 0.0
        self.began = time.monotonic()
        if self.file.exists():
            self._load()

    @property
    def share(self) -> float:
        """How much of the training is done, by the epochs or by the clock."""
        planned = self.settings.epochs * self._steps_an_epoch
        share = self.steps / planned
        if self.settings.minutes is not None:
            share = max(share, self._elapsed / (60.0 * self.settings.minutes))
        return min(share, 1.0)

    @property
    def is_done(self) -> bool:
        return self.share >= 1.0

    def epoch(self) -> float:
        rng = np.random.default_rng((self.seed, self.epochs))
        losses = []
        self.network.train()
        for pictures in batches(self.material.captions, self.settings.captions, rng):
            losses.append(self._step(pictures, rng))
            if self.share >= 1.0:
                break
        self.epochs += 1
        return float(np.mean(losses))

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shape": asdict(self.network.shape),
            "progress": (self.epochs, self.steps, self._elapsed),
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)

    def _load(self) -> None:
        state = torch.load(self.file, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epochs, self.steps, self.seconds = state["progress"]

    @property
    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.began

    @property
    def _steps_an_epoch(self) -> int:
        total = sum(len(own) for own in self.material.captions)
        return max(1, math.ceil(total / self.settings.captions))

    def _step(self, pictures: Integers, rng: np.random.Generator) -> float:
        settings, share = self.settings, self.share
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate * _rate(share, settings.warm_up)
        vectors, tokens = self._inputs(pictures, rng)
        said, wanted, worth = padded(self.material, pictures)
        worth = 1.0 + settings.consensus * share * (worth - 1.0)
        states = self.network(vectors, tokens, said)
        counted = wanted != _IGNORED
        logits = self.network.logits(states[counted])
        lost = F.cross_entropy(
            logits, wanted[counted], reduction="none", label_smoothing=settings.smoothing
        )
        each = worth[:, :, None].expand(counted.shape)[counted]
        loss = (lost * each).sum() / each.sum()
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        # The first steps would hold the average back.
        update_average(
            self.average, self.network, min(settings.average, self.steps / (self.steps + 10))
        )
        return float(loss.detach())

    def _inputs(self, pictures: Integers, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Vectors and tokens, disturbed a little.

        The towers were trained on these very pictures, so that their vectors tell more here than
        those of pictures that are seen for the first time.
        """
        vectors = self.material.vectors[pictures]
        noise = rng.normal(size=vectors.shape).astype(np.float32) * self.settings.vector_noise
        tokens = self.material.tokens[pictures].astype(np.float32)
        shown = rng.random(tokens.shape[:2]) >= self.settings.hidden_rows
        return torch.from_numpy(vectors + noise), torch.from_numpy(tokens * shown[..., None])


@torch.no_grad()
def held_out_loss(network: CaptionDecoder, held: CaptionedTokens) -> float:
    """The mean cross-entropy of a word piece over pictures that were held out."""
    total, count = 0.0, 0
    for start in range(0, len(held), _HELD_BATCH):
        pictures = np.arange(start, min(start + _HELD_BATCH, len(held)))
        said, wanted, _ = padded(held, pictures)
        counted = wanted != _IGNORED
        vectors = torch.from_numpy(held.vectors[pictures])
        states = network(vectors, torch.from_numpy(held.tokens[pictures]), said)
        total += float(
            F.cross_entropy(network.logits(states[counted]), wanted[counted], reduction="sum")
        )
        count += int(counted.sum())
    return total / count


def padded(material: CaptionedTokens, pictures: Integers) -> tuple[Tensor, Tensor, Tensor]:
    """Captions of pictures as the network takes them, as it should foretell them, and their worth.

    int64 (n, captions, length - 1) and (n, captions, length), where -100 stands for what does not
    count, float32 (n, captions).
    """
    own = [material.captions[picture] for picture in pictures]
    most = max(len(captions) for captions in own)
    longest = max(len(caption) for captions in own for caption in captions)
    wanted = np.full((len(own), most, longest), _IGNORED, dtype=np.int64)
    worth = np.zeros((len(own), most), dtype=np.float32)
    for row, captions in enumerate(own):
        worth[row, : len(captions)] = material.weights[pictures[row]]
        for column, caption in enumerate(captions):
            wanted[row, column, : len(caption)] = caption
    said = np.maximum(wanted[:, :, :-1], 0)
    return torch.from_numpy(said), torch.from_numpy(wanted), torch.from_numpy(worth)


def batches(
    captions: Sequence[Sequence[Sequence[int]]], size: int, rng: np.random.Generator
) -> Iterator[Integers]:
    """Pictures in batches of about `size` captions, in a random order.

    Those of a batch have the same number of captions, and captions of about the same length.
    """
    counts = np.array([len(own) for own in captions])
    found: list[Integers] = []
    for count in np.unique(counts[counts > 0]):
        members = rng.permutation(np.flatnonzero(counts == count))
        a_batch = max(1, size // int(count))
        for start in range(0, len(members), _POOL * a_batch):
            pool = members[start : start + _POOL * a_batch]
            longest = [max(len(caption) for caption in captions[i]) for i in pool]
            pool = pool[np.argsort(longest, kind="stable")]
            found += [pool[i : i + a_batch] for i in range(0, len(pool), a_batch)]
    for place in rng.permutation(len(found)):
        yield found[place]


def _rate(share: float, warm_up: float) -> float:
    """A straight rise, then half a cosine down to a fiftieth."""
    if share < warm_up:
        return (share + 1e-3) / (warm_up + 1e-3)
    done = (share - warm_up) / (1.0 - warm_up)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done))
