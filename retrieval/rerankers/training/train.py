"""The training loop of the compact reranker: hard negatives, early stopping, checkpoints.

After every epoch the network reranks the validation part; what scored best there is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from retrieval.evaluation.metrics import Integers
from retrieval.rerankers.training.data import (
    RerankerTrainingError,
    TokenSet,
    hard_negatives,
    nearest_images,
)
from retrieval.rerankers.training.network import RerankerNetwork

# Weights of the reranker's score beside a cosine; 0 leaves the first stage's order as it is.
_WEIGHTS = np.concatenate([[0.0], np.geomspace(0.001, 1.0, 31)])


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. `negatives` are drawn for each caption among the `pool` hardest ones."""

    epochs: int = 10
    captions_a_batch: int = 32
    negatives: int = 7
    pool: int = 50
    candidates: int = 50
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    patience: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """What came of an epoch: recalls at 1 on the validation part, in [0, 1]."""

    number: int
    loss: float
    first_stage: float
    reranked: float
    weight: float


@dataclass(frozen=True)
class Trained:
    """The best network, the fusion weight that goes with it, and the whole course."""

    network: RerankerNetwork
    best: Epoch
    epochs: tuple[Epoch, ...]


Progress = Callable[[str, int, int], None]


def train(
    network: RerankerNetwork,
    data: TokenSet,
    validation: TokenSet,
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train `network` in place, from the checkpoint where there is one, and keep the best epoch.

    Stops early once `patience` epochs bring nothing. After each epoch the checkpoint is written
    anew, so that a run that was cut off goes on from there. Raises RerankerTrainingError where
    the checkpoint is of another training.
    """
    course = _Course(network, data, validation, settings, checkpoint)
    while not course.finished():
        course.run_epoch(progress)
    return course.result()


def rerank_scores(
    network: RerankerNetwork, data: TokenSet, candidates: Integers
) -> NDArray[np.float32]:
    """The network's scores, (t, c), of each caption's candidates, pictures (t, c)."""
    network.eval()
    scores = np.empty(candidates.shape, dtype=np.float32)
    with torch.inference_mode():
        for row in range(len(candidates)):
            found = _scores_of(network, data, np.array([row]), candidates[row : row + 1])
            scores[row] = found[0].numpy()
    return scores


def fit_fusion(
    similarities: NDArray[np.float32],
    scores: NDArray[np.float32],
    right: NDArray[np.bool_],
) -> tuple[float, float]:
    """The weight w for which similarity + w · score has the best recall at 1, and that recall.

    All are (t, c); `right` marks the right candidate. Among equally good weights the smallest
    is taken, which strays least from the first stage.
    """
    recalls = [recall_at_1(similarities + weight * scores, right) for weight in _WEIGHTS]
    best = int(np.argmax(recalls))
    return float(_WEIGHTS[best]), recalls[best]


def recall_at_1(fused: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """The share of rows whose right candidate beats all others; a tie does not."""
    own = np.where(right, fused, -np.inf).max(axis=1)
    wrong = np.where(right, -np.inf, fused).max(axis=1)
    return float((own > wrong).mean())


# -- inside -----------------------------------------------------------------------------------


class _Course:
    """A training under way: everything that a checkpoint has to keep."""

    def __init__(
        self,
        network: RerankerNetwork,
        data: TokenSet,
        validation: TokenSet,
        settings: TrainingSettings,
        checkpoint: Path | None,
    ) -> None:
        self._network = network
        self._data = data
        self._settings = settings
        self._checkpoint = checkpoint
        self._negatives = hard_negatives(data, min(settings.pool, len(data.patches) - 1))
        self._validation = validation
        self._candidates, self._similarities = nearest_images(validation, settings.candidates)
        self._right = self._candidates == validation.owner[:, np.newaxis]
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._epochs: list[Epoch] = []
        self._best_weights = _copied(network)
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    def finished(self) -> bool:
        """Whether the epochs are done or have stopped to bring anything."""
        done = len(self._epochs)
        if done == 0:
            return False
        return (
            done >= self._settings.epochs or done - self._best().number >= self._settings.patience
        )

    def run_epoch(self, progress: Progress | None) -> None:
        """Train on every caption once, validate, keep."""
        number = len(self._epochs) + 1
        loss = self._train_once(number, progress)
        scores = rerank_scores(self._network, self._validation, self._candidates)
        weight, reranked = fit_fusion(self._similarities, scores, self._right)
        first_stage = recall_at_1(self._similarities, self._right)
        epoch = Epoch(number, loss, first_stage, reranked, weight)
        if not self._epochs or reranked > self._best().reranked:
            self._best_weights = _copied(self._network)
        self._epochs.append(epoch)
        if self._checkpoint is not None:
            self._save(self._checkpoint)

    def result(self) -> Trained:
        """The network with the weights of its best epoch."""
        self._network.load_state_dict(self._best_weights)
        self._network.eval()
        return Trained(self._network, self._best(), tuple(self._epochs))

    def _best(self) -> Epoch:
        return max(self._epochs, key=lambda epoch: (epoch.reranked, -epoch.number))

    def _train_once(self, number: int, progress: Progress | None) -> float:
        settings, data = self._settings, self._data
        # Seeded by epoch, so that a resumed run sees what an uninterrupted one would have.
        torch.manual_seed(settings.seed * 10_007 + number)
        rng = np.random.default_rng([settings.seed, number])
        order = rng.permutation(len(data.owner))
        self._network.train()
        losses: list[float] = []
        for start in range(0, len(order), settings.captions_a_batch):
            captions = order[start : start + settings.captions_a_batch]
            self._set_rate(number - 1 + start / len(order))
            drawn = rng.integers(self._negatives.shape[1], size=(len(captions), settings.negatives))
            wrong = np.take_along_axis(self._negatives[captions], drawn, axis=1)
            images = np.concatenate([data.owner[captions][:, np.newaxis], wrong], axis=1)
            scores = _scores_of(self._network, data, captions, images)
            loss = F.cross_entropy(scores, torch.zeros(len(captions), dtype=torch.int64))
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
            self._optimiser.step()
            losses.append(loss.item())
            if progress:
                progress(f"epoch {number}", min(start + len(captions), len(order)), len(order))
        return float(np.mean(losses))

    def _set_rate(self, epochs_done: float) -> None:
        """Half a cosine over all epochs, after a short warm-up."""
        share = min(1.0, epochs_done / self._settings.epochs)
        warm = min(1.0, 0.05 + epochs_done * 4)
        rate = self._settings.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * share))
        for group in self._optimiser.param_groups:
            group["lr"] = float(rate)

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        torch.save(
            {
                "shape": asdict(self._network.shape),
                "settings": asdict(self._settings),
                "captions": len(self._data.owner),
                "network": self._network.state_dict(),
                "best": self._best_weights,
                "optimiser": self._optimiser.state_dict(),
                "epochs": [asdict(epoch) for epoch in self._epochs],
            },
            unfinished,
        )
        unfinished.replace(path)

    def _resume(self, path: Path) -> None:
        try:
            found: dict[str, Any] = torch.load(path, weights_only=True)
            same = (
                found["shape"] == asdict(self._network.shape)
                and {**found["settings"], "epochs": 0} == {**asdict(self._settings), "epochs": 0}
                and found["captions"] == len(self._data.owner)
            )
        except Exception as error:  # torch.load raises nearly anything on a damaged file.
            raise RerankerTrainingError(
                f"The checkpoint {path} cannot be read: delete it.", code="checkpoint", path=path
            ) from error
        if not same:
            raise RerankerTrainingError(
                f"The checkpoint {path} is of another training (other captions, model or "
                "settings).",
                code="checkpoint",
                path=path,
            )
        self._network.load_state_dict(found["network"])
        self._optimiser.load_state_dict(found["optimiser"])
        self._best_weights = found["best"]
        self._epochs = [Epoch(**epoch) for epoch in found["epochs"]]


def _scores_of(
    network: RerankerNetwork, data: TokenSet, captions: Integers, images: Integers
) -> Tensor:
    """Scores (b, c) of each caption (b,) with its pictures (b, c)."""
    words, mask = data.padded_words(captions)
    each = images.shape[1]
    scores, _ = network(
        torch.from_numpy(words).repeat_interleave(each, dim=0),
        torch.from_numpy(mask).repeat_interleave(each, dim=0),
        torch.from_numpy(data.patches[images.ravel()]),
    )
    found: Tensor = scores.view(len(captions), each)
    return found


def _copied(network: RerankerNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
