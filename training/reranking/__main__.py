"""Train the reranker on: `python -m training.reranking --data DATA --model MODEL --cache DIR`.

The towers stay as they are, so that no index has to be made again. What they make of pictures and
texts is kept in the cache. Writes `reranker.onnx` into the model's folder, and into its
`config.json` what the reranker is to be used with, as the pictures held out tell.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from retrieval.encoders.compact import CompactEncoder
from retrieval.rerankers.compact import RERANKER_FILE
from retrieval.rerankers.training.network import RerankerShape
from training.captioning.examples import EncodedPictures
from training.clock import clock
from training.evaluation import fit_reranker
from training.export import export_reranker
from training.reranking.examples import RerankingExamples, make_examples
from training.reranking.fit import RerankingSettings, train_reranker
from training.reranking.weights import read_reranker
from training.sources import Sources, read_captioned
from training.tiny import copy_model, make_tiny_data


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, train and write."""
    parser = argparse.ArgumentParser(prog="python -m training.reranking", description=__doc__)
    parser.add_argument("--data", type=Path, help="see training/README.md")
    parser.add_argument("--model", type=Path, help="a compact model's folder")
    parser.add_argument("--cache", type=Path, help="keeps what the model makes of the data")
    parser.add_argument("--steps", type=int, default=RerankingSettings.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="prove that it fits, no more")
    options = parser.parse_args(arguments)
    settings = RerankingSettings(steps=options.steps)
    with tempfile.TemporaryDirectory() as scratch:
        if options.tiny:
            _use_tiny(options, Path(scratch))
            settings = replace(settings, steps=2, pictures=8)
        if options.data is None or options.model is None or options.cache is None:
            parser.error("--data, --model and --cache are needed, except with --tiny")
        sources = read_captioned(options.data, options.seed)
        train(options.model, sources, options.cache, settings, options.seed)


def train(
    model: Path, sources: Sources, cache: Path, settings: RerankingSettings, seed: int
) -> list[float]:
    """Train the model's reranker on and write it; returns the loss of each step."""
    say = clock()
    encoder = CompactEncoder(model)
    pictures = sources.learnt
    encoded = EncodedPictures(encoder, cache).of([picture.path for picture in pictures])
    examples = make_examples(encoder, pictures, encoded.vectors, encoded.tokens, cache, seed)
    say(f"{len(pictures)} pictures, {len(examples.twins.texts)} false twins")
    network = read_reranker(model / RERANKER_FILE, _shape(encoder, examples), settings.dropout)
    losses = train_reranker(
        network, examples, settings, seed, lambda step, loss: say(f"step {step}: loss {loss:.3f}")
    )
    export_reranker(network, encoder.token_scale, model / RERANKER_FILE)
    weight, least_presence = fit_reranker(model, sources.held)
    say(f"its weight on {len(sources.held)} pictures held out: {weight:.4f}")
    say(f"words are found from a presence of {least_presence:.3f}")
    config = json.loads((model / "config.json").read_text("utf-8"))
    config["reranker"] = {"weight": weight, "least_presence": least_presence}
    (model / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return losses


def _shape(encoder: CompactEncoder, examples: RerankingExamples) -> RerankerShape:
    rows, columns = encoder.token_grid
    return RerankerShape(
        examples.tokens.shape[2],
        rows * columns,
        encoder.token_scale,
        word_dim=examples.captions.words.shape[1],
        whole_rows=encoder.whole_rows,
    )


def _use_tiny(options: argparse.Namespace, scratch: Path) -> None:
    options.data, options.model = make_tiny_data(scratch / "data"), copy_model(scratch / "model")
    options.cache = scratch / "cache"
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
