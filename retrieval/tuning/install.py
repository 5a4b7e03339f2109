"""From captions to a model of one's own: encode, train, compare, and keep it only if it is better.

What is made grows in a folder beside the one that it is for, which appears when it has earned it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from retrieval.encoders.base import Encoder
from retrieval.encoders.headed import HeadedEncoder, HeadsSettings, write_heads
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.vit_bert import PREFIX as VIT_BERT_PREFIX
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.compare import Comparison, compare_encoders
from retrieval.evaluation.encoded_set import EncodedSet, Progress, Skipped, encode_set, subset
from retrieval.tuning.data import EncoderTrainingError, TuningSettings, split_pictures
from retrieval.tuning.heads import HeadsTraining
from retrieval.tuning.towers import TowersTraining, saved_name, trainable_encoder
from retrieval.tuning.train import CaptionedSet, Epoch, train

CHECKPOINT_FILE = "checkpoint.pt"
MEASURED_FILE = "measured.json"


@dataclass(frozen=True)
class TuningReport:
    """What a training measured on pictures held out, and whether its model was kept.

    `pictures` and `captions` that could be used; `compared_pictures` of them were held out for the
    comparison. `model`: what loads the new one. `same_space`: whether an index that the model
    before has made can be asked through the new one as it is.
    """

    model: str
    pictures: int
    captions: int
    compared_pictures: int
    skipped: tuple[Skipped, ...]
    epochs: tuple[Epoch, ...]
    comparison: Comparison
    same_space: bool
    installed: bool


def tune_encoder(
    model: str,
    pictures: Sequence[CaptionedImage],
    images: Path,
    output: Path,
    settings: TuningSettings,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TuningReport:
    """Train a model on captioned pictures below `images` and keep it in `output` if it is better.

    A tenth of the pictures is held out for early stopping, and some more for the comparison. With
    `resume` a training that was cut off goes on from its last epoch. Raises EncoderTrainingError
    where `output` is there already, or the model or the captions do not allow it,
    UnknownModelError where there is no such model, CaptionsError where no picture can be read.
    """
    if output.exists():
        raise EncoderTrainingError(
            f"{output} is there already, and an index may need what is in it.",
            code="output-exists",
            folder=output,
        )
    encoder = _encoder(model, settings)
    encoded = encode_set(encoder, pictures, images, progress)
    parts = split_pictures(len(encoded.names), settings.seed)
    before = subset(encoded, parts.comparison)
    made_by = encoder.space
    workshop = output.with_name(output.name + ".training")
    checkpoint = workshop / CHECKPOINT_FILE
    candidate = workshop / "model"
    with _in_workshop(workshop, checkpoint):
        shutil.rmtree(candidate, ignore_errors=True)
        try:
            candidate.mkdir(parents=True)
            if not resume:
                checkpoint.unlink(missing_ok=True)
        except OSError as error:
            raise EncoderTrainingError(
                f"{candidate} cannot be made ({error.strerror}): choose another output."
            ) from error
        training: HeadsTraining | TowersTraining = (
            HeadsTraining(encoded, settings.side)
            if settings.what == "heads"
            else TowersTraining(encoder, encoded, images, settings)
        )
        epochs = train(
            training,
            CaptionedSet(encoded.captions, encoded.owner, parts, made_by.fingerprint),
            settings,
            checkpoint=checkpoint,
            progress=progress,
        )
        tuned, name = _saved(training, encoder, model, candidate, output)
        held_out = _captioned(before)
        comparison = compare_encoders(before, encode_set(tuned, held_out, images, progress))
        same_space = tuned.space.is_same(made_by)
        if comparison.is_better:
            record = {"model": model, "settings": asdict(settings)}
            record["comparison"] = asdict(comparison)
            (candidate / MEASURED_FILE).write_text(json.dumps(record, indent=2), "utf-8")
            candidate.replace(output)
        checkpoint.unlink(missing_ok=True)
    return TuningReport(
        model=name,
        pictures=len(encoded.names),
        captions=len(encoded.captions),
        compared_pictures=len(parts.comparison),
        skipped=encoded.skipped,
        epochs=epochs,
        comparison=comparison,
        same_space=same_space,
        installed=comparison.is_better,
    )


# -- inside -----------------------------------------------------------------------------------


@contextmanager
def _in_workshop(workshop: Path, checkpoint: Path) -> Iterator[None]:
    """Leave no folder behind that is of no use: a workshop stays while it has a checkpoint."""
    made = [folder for folder in workshop.parents if not folder.exists()]
    try:
        yield
    except EncoderTrainingError as error:
        # It would diverge again from where it is.
        if error.code == "diverged":
            checkpoint.unlink(missing_ok=True)
        raise
    finally:
        if not checkpoint.exists():
            shutil.rmtree(workshop, ignore_errors=True)
        # The innermost first; one that holds something is not removed.
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _encoder(model: str, settings: TuningSettings) -> Encoder:
    """The encoder to train, as it is before."""
    if settings.what != "heads":
        return trainable_encoder(model)
    encoder = load_encoder(model)
    if isinstance(encoder, HeadedEncoder):
        raise EncoderTrainingError(f"{model} has heads already: train the model that they follow.")
    return encoder


def _saved(
    training: HeadsTraining | TowersTraining,
    encoder: Encoder,
    model: str,
    candidate: Path,
    output: Path,
) -> tuple[Encoder, str]:
    """What was trained, written to `candidate` and read again, and its name once in `output`."""
    if isinstance(training, HeadsTraining):
        settings = HeadsSettings(_lasting(model), encoder.space.fingerprint)
        write_heads(candidate, training.exported(), settings)
        return HeadedEncoder.load(candidate, str(output), lambda _: encoder), str(output)
    training.save(candidate)
    return trainable_encoder(saved_name(encoder, candidate)), saved_name(encoder, output)


def _lasting(model: str) -> str:
    """A model's name that holds wherever the program is started."""
    prefix = VIT_BERT_PREFIX if model.startswith(VIT_BERT_PREFIX) else ""
    path = Path(model.removeprefix(prefix))
    return f"{prefix}{path.resolve()}" if path.exists() else model


def _captioned(encoded: EncodedSet) -> list[CaptionedImage]:
    """The pictures of an encoded set as a captions file would name them."""
    return [
        CaptionedImage(
            name,
            None,
            tuple(encoded.captions[i] for i in np.flatnonzero(encoded.owner == place)),
        )
        for place, name in enumerate(encoded.names)
    ]
