"""Training a reranker for one index, and putting it in place only where it earns it.

The road from captions to `INDEX_DIR/reranker/`: encode, train, fit the fusion weight on pictures
held out, export, compare with what is there, install.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.encoders.base import Encoder, PatchTokenEncoder, gives_patch_tokens
from retrieval.encoders.headed import without_heads
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import EncodedSet, Skipped, encode_set
from retrieval.evaluation.encoded_set import subset as part_of
from retrieval.evaluation.metrics import hits_at, rank_right_answers
from retrieval.evaluation.protocol import SecondStage, put_in_front, top
from retrieval.evaluation.rerank import RerankedSet
from retrieval.rerankers.base import Reranker
from retrieval.rerankers.compact import RERANKER_FILE, SETTINGS_FILE, CompactReranker
from retrieval.rerankers.registry import AUTO, load_reranker
from retrieval.rerankers.training.data import (
    RerankerTrainingError,
    TokenSet,
    split_images,
    subset,
    tokens_of,
)
from retrieval.rerankers.training.export import export, require_exporter
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from retrieval.rerankers.training.train import TrainingSettings, train

HELD_OUT_SHARE = 0.2
CHECKPOINT_FILE = "checkpoint.pt"
_CANDIDATE_FILE = "candidate.onnx"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrainingReport:
    """What a training measured on the pictures held out, and whether it was put in place.

    `held_out_captions` counts those that the comparison is made on. Recalls at 1, in [0, 1], on
    them: `first_stage` without any reranker, `before` with the one in use until now (the same
    where there is none), `after` with the new one. `weight` is what the fusion gives the new
    reranker's score.
    """

    pictures: int
    captions: int
    held_out_captions: int
    skipped: tuple[Skipped, ...]
    epochs: int
    first_stage: float
    before: float
    after: float
    weight: float
    installed: bool


def train_for_index(
    encoder: Encoder,
    pictures: Sequence[CaptionedImage],
    images: Path,
    folder: Path,
    settings: TrainingSettings,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train a reranker and install it in `folder` where it is at least as good as what is used.

    A tenth of the pictures is held out for early stopping and the fusion weight, another for the
    comparison.
    With `resume` a training that was cut off goes on from its last epoch. Raises
    RerankerTrainingError where the model, the captions or the installation do not allow it.
    """
    require_exporter()
    with_tokens = without_heads(encoder)
    if not gives_patch_tokens(with_tokens):
        raise RerankerTrainingError(
            f"{encoder.space.name} gives no patch and word tokens, which a reranker needs.",
            code="no-tokens",
            model=encoder.space.name,
        )
    encoded = encode_set(encoder, pictures, images, progress)
    whole = tokens_of(encoder, encoded)
    kept, held_out = split_images(len(encoded.names), HELD_OUT_SHARE, settings.seed)
    # Choosing the epoch and the weight flatters the part it is done on; the comparison with what
    # is in use is on pictures that neither has seen.
    validation, compared = subset(whole, held_out[::2]), subset(whole, held_out[1::2])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        checkpoint = folder / CHECKPOINT_FILE
        if not resume:
            checkpoint.unlink(missing_ok=True)
        trained = train(
            RerankerNetwork(_shape(with_tokens, whole)),
            subset(whole, kept),
            validation,
            settings,
            checkpoint=checkpoint,
            progress=progress,
        )
        candidate = folder / _CANDIDATE_FILE
        export(trained.network, candidate)
        seen = part_of(encoded, held_out[1::2])
        new = CompactReranker(candidate, with_tokens.token_grid, "new", trained.best.weight)
        after = _recall(encoder, seen, RerankedSet(new, images, seen), settings.candidates)
        first_stage = _first_stage_recall(compared)
        used = _in_use(folder, encoder)
        before = first_stage
        if used is not None:
            before = _recall(encoder, seen, RerankedSet(used, images, seen), settings.candidates)
        # A weight of nought means that the best the new one can do is to keep silent.
        installed = trained.best.weight > 0 and after >= before
        if installed:
            candidate.replace(folder / RERANKER_FILE)
            _write_settings(folder, with_tokens, trained.best.weight, before, after)
        else:
            candidate.unlink()
        checkpoint.unlink(missing_ok=True)
    finally:
        # Not put in place, or cut off before there was anything to go on from: it is empty.
        with suppress(OSError):
            folder.rmdir()
    return TrainingReport(
        pictures=len(encoded.names),
        captions=len(encoded.captions),
        held_out_captions=len(compared.owner),
        skipped=encoded.skipped,
        epochs=len(trained.epochs),
        first_stage=first_stage,
        before=before,
        after=after,
        weight=trained.best.weight,
        installed=installed,
    )


# -- inside -----------------------------------------------------------------------------------


def _shape(encoder: PatchTokenEncoder, data: TokenSet) -> RerankerShape:
    rows, columns = encoder.token_grid
    return RerankerShape(
        token_dim=data.patches.shape[2],
        patches=rows * columns,
        patch_scale=encoder.token_scale,
        word_dim=data.words.shape[1],
        whole_rows=encoder.whole_rows,
    )


def _in_use(folder: Path, encoder: Encoder) -> Reranker | None:
    """The reranker that this index uses until now: its own, else the model's."""
    return load_reranker(AUTO, encoder, folder.parent)


def _first_stage_recall(data: TokenSet) -> float:
    first = data.text_vectors @ data.image_vectors.T
    ranks = rank_right_answers(first, data.owner, np.arange(len(data.patches)))
    return float(hits_at(ranks, 1).mean())


def _recall(encoder: Encoder, seen: EncodedSet, stage: SecondStage, candidates: int) -> float:
    """Recall at 1, text to image, with a second stage, as the product would rank."""
    scores = np.empty((len(seen.captions), len(seen.names)))
    first = seen.text_vectors @ seen.image_vectors.T
    order = top(first, candidates)
    for row, text in enumerate(seen.captions):
        similarities = first[row, order[row]].astype(np.float64)
        looked = stage.score(text, encoder.encode_texts([text]), similarities, order[row])
        scores[row] = put_in_front(first[row], order[row], stage.fusion.fuse(similarities, looked))
    ranks = rank_right_answers(scores, seen.owner, np.arange(len(seen.names)))
    return float(hits_at(ranks, 1).mean())


def _write_settings(
    folder: Path, encoder: Encoder, weight: float, before: float, after: float
) -> None:
    settings = {
        "name": "own",
        "encoder": encoder.space.fingerprint,
        "weight": weight,
        "validation": {"recall_at_1_before": before, "recall_at_1_after": after},
    }
    unfinished = folder / (SETTINGS_FILE + ".tmp")
    unfinished.write_text(json.dumps(settings, indent=2))
    unfinished.replace(folder / SETTINGS_FILE)
