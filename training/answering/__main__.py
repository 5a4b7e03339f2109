"""Make the built-in answerer: `python -m training.answering --data DATA --model MODEL --cache DIR`.

Questions are made of the captions of the pictures that the model learnt from and asked of what it
makes of these pictures; the pictures that it held out choose among the epochs and say how sure an
answer is. Writes `answers.onnx` and `answers.json` into the model's folder, to which no other part
of training has to be run again.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from retrieval.answering.compact import ANSWERS_FILE, SETTINGS_FILE
from retrieval.answering.kinds import Kind
from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.visual_questions import VisualQuestion, make_questions
from training.answering.calibrate import Calibration, Judged, calibrate, settings
from training.answering.examples import Examples, Pictures, QuestionTexts, encode_questions
from training.answering.export import export
from training.answering.fit import AnswerRecipe, fit, scores
from training.answering.network import AnswerNetwork, AnswerShape
from training.answering.vocabulary import LEAST_COUNT, choose_answers
from training.data import Picture
from training.model_vectors import ModelVectors
from training.sources import Sources, read_sources
from training.tiny import copy_model, make_tiny_data

_QUESTIONS_OF_A_KIND = 6


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, train, write, and say what was measured on the pictures held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folders that training/README.md describes")
    parser.add_argument("--model", type=Path, help="a compact model's folder")
    parser.add_argument("--cache", type=Path, help="where what the model makes of pictures is kept")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--epochs", type=int, default=AnswerRecipe.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="the tests' photographs, in seconds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if options.tiny:
            _use_tiny(options, Path(scratch))
        if options.data is None or options.model is None or options.cache is None:
            parser.error("--data, --model and --cache are needed, except with --tiny")
        sources = read_sources(options.data, options.seed)
        recipe = AnswerRecipe(epochs=options.epochs, minutes=options.minutes)
        train(options.model, sources, options.cache, recipe, options.seed, tiny=options.tiny)


def train(
    model: Path,
    sources: Sources,
    cache: Path,
    recipe: AnswerRecipe,
    seed: int,
    *,
    tiny: bool = False,
) -> None:
    """Train an answerer for the model in that folder, and write it there."""
    encoder = CompactEncoder(model)
    learnt, held = (
        _questions(sources.learnt, seed, 0),
        _questions(sources.held, seed + 1, len(sources.learnt)),
    )
    answers = choose_answers(learnt, 1 if tiny else LEAST_COUNT)
    texts = encode_questions(encoder, [question.text for question in (*learnt, *held)])
    pictures = _encoded(encoder, sources.pictures, cache)
    told = [Examples(own, pictures, texts, answers) for own in (learnt, held)]
    network = AnswerNetwork(_shape(encoder, texts, pictures, told[0].answers))
    print(f"{len(told[0].questions)} questions to learn from, {len(told[1].questions)} held out")
    best = fit(network, told[0], told[1], recipe, seed, print)
    write(best, encoder, told[1], answers, model)


def write(
    network: AnswerNetwork,
    encoder: CompactEncoder,
    held: Examples,
    answers: dict[Kind, list[str]],
    model: Path,
) -> None:
    """Calibrate a trained network on questions held out, and write it into the model's folder."""
    export(network, model / ANSWERS_FILE)
    judged = judge(network, held, answers)
    # What no question held out tells of is never sure.
    calibrations = {
        kind: calibrate(judged[kind]) if kind in judged else Calibration(1.0, None)
        for kind in answers
    }
    measured = {
        kind: {"questions": len(own.logits), "right": round(_accuracy(own), 4)}
        for kind, own in judged.items()
    }
    told = settings(encoder.space.fingerprint, answers, calibrations, measured)
    (model / SETTINGS_FILE).write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    for kind, own in measured.items():
        print(kind, own, calibrations[kind])


@torch.inference_mode()
def judge(
    network: AnswerNetwork, held: Examples, answers: dict[Kind, list[str]]
) -> dict[Kind, Judged]:
    """The logits of questions held out, by their kind, with what is right."""
    network.eval()
    starts = dict(zip(answers, np.cumsum([0, *map(len, answers.values())]), strict=False))
    logits: dict[Kind, list[np.ndarray]] = {kind: [] for kind in answers}
    right: dict[Kind, list[np.ndarray]] = {kind: [] for kind in answers}
    for batch in held.batches(64, 1000):
        asked = batch.right.any(dim=-1)
        found, truth = scores(network, batch)[asked].numpy(), batch.right[asked].numpy()
        first = batch.allowed[asked].int().argmax(dim=-1).numpy()
        for kind, those in answers.items():
            own = first == starts[kind]
            columns = slice(int(starts[kind]), int(starts[kind]) + len(those))
            logits[kind].append(found[own][:, columns].astype(np.float64))
            right[kind].append(truth[own][:, columns])
    return {
        kind: Judged(np.concatenate(logits[kind]), np.concatenate(right[kind]))
        for kind in answers
        if sum(map(len, logits[kind]))
    }


def _accuracy(judged: Judged) -> float:
    best = judged.logits.argmax(axis=1)
    return float(judged.right[np.arange(len(best)), best].mean())


def _questions(pictures: Sequence[Picture], seed: int, first: int) -> list[VisualQuestion]:
    """Questions about pictures that stand from `first` on among all."""
    captioned = [CaptionedImage(str(own.path), own.split, own.captions) for own in pictures]
    made = make_questions(captioned, seed, each=_QUESTIONS_OF_A_KIND)
    return [replace(question, picture=first + question.picture) for question in made]


def _encoded(encoder: CompactEncoder, pictures: Sequence[Picture], cache: Path) -> Pictures:
    kept = ModelVectors(encoder, cache)
    paths = [picture.path for picture in pictures]
    return Pictures(kept.tokens_of_images(paths), kept.of_images(paths))


def _shape(
    encoder: CompactEncoder, texts: QuestionTexts, pictures: Pictures, answers: int
) -> AnswerShape:
    return AnswerShape(
        answers=answers,
        grid=encoder.token_grid,
        whole_rows=encoder.whole_rows,
        token_dim=pictures.tokens.shape[-1],
        token_scale=encoder.token_scale,
        word_dim=texts.words.shape[-1],
        dim=encoder.space.dim,
    )


def _use_tiny(options: argparse.Namespace, scratch: Path) -> None:
    options.data, options.model = make_tiny_data(scratch / "data"), copy_model(scratch / "model")
    options.cache, options.epochs = scratch / "cache", 1


if __name__ == "__main__":
    main()
