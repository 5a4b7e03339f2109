"""The training loop of an encoder: contrastive loss, early stopping, checkpoints.

After every epoch captions of the validation part look for their pictures; the weights that did
best there are kept, those before the first epoch among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.evaluation.encoded_set import Progress
from retrieval.evaluation.metrics import Integers, rank_right_answers, reciprocal_ranks
from retrieval.fusion.losses import ContrastiveLoss
from retrieval.tuning.data import (
    EncoderTrainingError,
    Parts,
    TuningSettings,
    draw_captions,
    matching_pairs,
)

_ROWS_AT_ONCE = 64
_WARM_UP_EPOCHS = 0.5
# A small set is shown in smaller batches, so that an epoch has some steps.
_STEPS = 8
_LEAST_BATCH = 16


class Training(Protocol):
    """What is trained: a network that turns pictures and captions of one set into unit vectors."""

    @property
    def network(self) -> nn.Module:
        """The network, whose parameters that ask for gradients are trained."""
        ...

    def image_vectors(self, images: Integers) -> Tensor:
        """Unit vectors (n, dim) of pictures by their positions."""
        ...

    def text_vectors(self, captions: Integers) -> Tensor:
        """Unit vectors (n, dim) of captions by their positions."""
        ...


@dataclass(frozen=True)
class CaptionedSet:
    """t captions of p pictures and their parts. `owner`: (t,), ascending, each caption's picture.

    `made_by`: the fingerprint of the encoder that is trained.
    """

    captions: Sequence[str]
    owner: Integers
    parts: Parts
    made_by: str


@dataclass(frozen=True)
class Epoch:
    """What came of an epoch: the mean loss, and the MRR, text to image, on the validation part.

    Number 0 is how it was before any training: its loss is None.
    """

    number: int
    loss: float | None
    mrr: float


def train(
    training: Training,
    data: CaptionedSet,
    settings: TuningSettings,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Epoch, ...]:
    """Train in place, from the checkpoint where there is one, and leave the best weights.

    Returns the whole course, from number 0, before any training, on. Raises EncoderTrainingError
    where the checkpoint is of another training, and with the code "diverged" where numbers grow
    beyond all bounds.
    """
    course = _Course(training, data, settings, checkpoint)
    while not course.finished():
        course.run_epoch(progress)
    return course.result()


# -- inside -----------------------------------------------------------------------------------


class _Course:
    """A training under way: everything that a checkpoint has to keep."""

    def __init__(
        self,
        training: Training,
        data: CaptionedSet,
        settings: TuningSettings,
        checkpoint: Path | None,
    ) -> None:
        self._training = training
        self._data = data
        self._settings = settings
        self._checkpoint = checkpoint
        self._loss = ContrastiveLoss().to(next(training.network.parameters()).device)
        self._trained = {
            name: parameter
            for name, parameter in training.network.named_parameters()
            if parameter.requires_grad
        }
        groups: list[dict[str, Any]] = [
            {"params": list(self._trained.values())},
            {"params": list(self._loss.parameters()), "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            groups,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._best_weights = self._copied()
        if checkpoint is not None and checkpoint.exists():
            self._epochs = self._resume(checkpoint)
        else:
            self._epochs = [Epoch(0, None, self._validate())]

    def finished(self) -> bool:
        """Whether the epochs are done or have stopped to bring anything."""
        done = self._epochs[-1].number
        return (
            done >= self._settings.epochs or done - self._best().number >= self._settings.patience
        )

    def run_epoch(self, progress: Progress | None) -> None:
        """Show every picture once, validate, keep."""
        number = self._epochs[-1].number + 1
        loss = self._train_once(number, progress)
        epoch = Epoch(number, loss, self._validate())
        if epoch.mrr > self._best().mrr:
            self._best_weights = self._copied()
        self._epochs.append(epoch)
        if self._checkpoint is not None:
            self._save(self._checkpoint)

    def result(self) -> tuple[Epoch, ...]:
        """The course; the network has the weights of its best epoch."""
        self._put(self._best_weights)
        self._training.network.eval()
        return tuple(self._epochs)

    def _best(self) -> Epoch:
        return max(self._epochs, key=lambda epoch: (epoch.mrr, -epoch.number))

    def _train_once(self, number: int, progress: Progress | None) -> float:
        settings, data = self._settings, self._data
        # Seeded by epoch, so that a resumed run sees what an uninterrupted one would have.
        torch.manual_seed(settings.seed * 10_007 + number)
        rng = np.random.default_rng([settings.seed, number])
        order = rng.permutation(data.parts.training)
        captions = draw_captions(data.owner, order, rng)
        _train_mode(self._training.network)
        losses: list[float] = []
        size = min(settings.pictures_a_batch, max(_LEAST_BATCH, len(order) // _STEPS))
        for start in range(0, len(order), size):
            batch = slice(start, start + size)
            if len(order[batch]) < 2:
                continue
            self._set_rate(number - 1 + start / len(order))
            loss = self._batch_loss(order[batch], captions[batch])
            if not torch.isfinite(loss):
                raise self._diverged()
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(list(self._trained.values()), 1.0)
            self._optimiser.step()
            losses.append(loss.item())
            if progress:
                progress(f"epoch {number}", min(batch.stop, len(order)), len(order))
        return float(np.mean(losses))

    def _batch_loss(self, images: Integers, captions: Integers) -> Tensor:
        targets = matching_pairs([self._data.captions[i] for i in captions])
        image_vectors = self._training.image_vectors(images)
        loss: Tensor = self._loss(
            image_vectors,
            self._training.text_vectors(captions),
            torch.from_numpy(targets).to(image_vectors.device),
        )
        return loss

    def _validate(self) -> float:
        """The mean reciprocal rank, text to image, on the validation part."""
        images = self._data.parts.validation
        captions = np.flatnonzero(np.isin(self._data.owner, images))
        self._training.network.eval()
        with torch.inference_mode():
            shown = _in_rows(self._training.image_vectors, images)
            asked = _in_rows(self._training.text_vectors, captions)
        scores = (asked @ shown.T).cpu().numpy()
        if not np.isfinite(scores).all():
            raise self._diverged()
        ranks = rank_right_answers(scores, self._data.owner[captions], images)
        return float(reciprocal_ranks(ranks).mean())

    def _diverged(self) -> EncoderTrainingError:
        rate = self._settings.learning_rate
        return EncoderTrainingError(
            f"The training diverged at a learning rate of {rate:g}: give a smaller one.",
            code="diverged",
            learning_rate=rate,
        )

    def _set_rate(self, epochs_done: float) -> None:
        """Half a cosine over all epochs, after a short warm-up."""
        share = min(1.0, epochs_done / self._settings.epochs)
        warm = min(1.0, 0.05 + epochs_done / _WARM_UP_EPOCHS)
        rate = self._settings.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * share))
        for group in self._optimiser.param_groups:
            group["lr"] = float(rate)

    def _copied(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self._trained.items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(weights[name])

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        torch.save(
            {
                "training": self._identity(),
                "weights": self._copied(),
                "best": self._best_weights,
                "loss": self._loss.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "epochs": [asdict(epoch) for epoch in self._epochs],
            },
            unfinished,
        )
        unfinished.replace(path)

    def _resume(self, path: Path) -> list[Epoch]:
        try:
            found: dict[str, Any] = torch.load(path, weights_only=True)
            same = found["training"] == self._identity()
        except Exception as error:  # torch.load raises nearly anything on a damaged file.
            raise EncoderTrainingError(
                f"The checkpoint {path} cannot be read: delete it.", code="checkpoint", path=path
            ) from error
        if not same:
            raise EncoderTrainingError(
                f"The checkpoint {path} is of another training (other captions, model or "
                "settings).",
                code="checkpoint",
                path=path,
            )
        self._put(found["weights"])
        self._best_weights = found["best"]
        self._loss.load_state_dict(found["loss"])
        self._optimiser.load_state_dict(found["optimiser"])
        # Checkpoints of before have NaN as the loss of number 0.
        return [
            Epoch(epoch["number"], epoch["loss"] if epoch["number"] else None, epoch["mrr"])
            for epoch in found["epochs"]
        ]

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a training to go on; it may go on for longer."""
        return {
            "settings": {**asdict(self._settings), "epochs": 0},
            "captions": len(self._data.captions),
            "made_by": self._data.made_by,
        }


def _train_mode(network: nn.Module) -> None:
    """Let a network train, but for its running means, which small batches would spoil."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _in_rows(encode: Any, positions: Integers) -> Tensor:
    """Vectors (n, dim) of n positions, some at a time."""
    return torch.cat(
        [
            encode(positions[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(positions), _ROWS_AT_ONCE)
        ]
    )
