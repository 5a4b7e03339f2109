"""Train the captioner: `python -m training.captioning --data DIR --model MODEL --out OUT`.

    python -m training.captioning --data DATA --model MODEL --out OUT [--minutes 60]

The pictures are encoded once with the model and kept in OUT, and checkpoints of the training beside
them, so that a run that was cut off goes on. How long sentences are to be, and what nearness to the
picture counts, is chosen on pictures that the model's training held out. What ships,
`captioner.json` and two graphs, is written into MODEL.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from retrieval.captioning.beam import BeamSettings
from retrieval.captioning.compact import SETTINGS_FILE
from retrieval.encoders.compact import CompactEncoder
from training.captioning.choose import choose_settings
from training.captioning.examples import (
    Encoded,
    EncodedPictures,
    Vocabulary,
    agreement,
    examples,
)
from training.captioning.export import export_captioner
from training.captioning.fit import CaptionSettings, held_out_loss, train_captioner
from training.captioning.network import CaptionDecoder, DecoderShape
from training.sources import read_captioned
from training.tiny import copy_model, make_tiny_data

PIECES = 3000
_TINY = DecoderShape(0, width=32, memory_width=16, inner_width=32, layers=1, heads=2, longest=12)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m training.captioning", description=__doc__)
    parser.add_argument("--data", type=Path, help="see training/README.md")
    parser.add_argument("--model", type=Path, help="a compact model's folder")
    parser.add_argument("--out", type=Path, help="keeps encoded pictures and checkpoints")
    parser.add_argument("--epochs", type=int, default=CaptionSettings.epochs)
    parser.add_argument("--minutes", type=float, help="bring the training to its end by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="prove that it fits, no more")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if options.tiny:
            _use_tiny(options, Path(scratch))
        if options.data is None or options.model is None or options.out is None:
            parser.error("--data, --model and --out are needed, except with --tiny")
        settings = CaptionSettings(epochs=options.epochs, minutes=options.minutes)
        train(
            options.data,
            options.model,
            options.out,
            _TINY if options.tiny else DecoderShape(0),
            replace(settings, captions=16, warm_up=0.0) if options.tiny else settings,
            options.seed,
        )


def train(
    data: Path, model: Path, out: Path, shape: DecoderShape, settings: CaptionSettings, seed: int
) -> None:
    """Train and write what ships into `model`."""
    encoder = CompactEncoder(model)
    sources = read_captioned(data, seed)
    encoded = EncodedPictures(encoder, out / "encoded").of(
        [picture.path for picture in sources.pictures]
    )
    count = len(sources.learnt)
    vocabulary = Vocabulary(
        model / "tokenizer.json",
        [caption for picture in sources.learnt for caption in picture.captions],
        PIECES,
    )
    rows, token_dim = encoded.tokens.shape[1:]
    shape = replace(
        shape,
        vocabulary=len(vocabulary.pieces),
        rows=rows,
        token_dim=token_dim,
        token_scale=encoder.token_scale,
        vector_dim=encoded.vectors.shape[1],
    )
    learnt = examples(
        sources.learnt,
        Encoded(encoded.vectors[:count], encoded.tokens[:count]),
        vocabulary,
        shape.longest,
        agreement(sources.learnt),
    )
    held = examples(
        sources.held,
        Encoded(encoded.vectors[count:], encoded.tokens[count:]),
        vocabulary,
        shape.longest,
    )
    print(f"{len(learnt)} pictures, {len(held)} held out, {len(vocabulary.pieces)} word pieces")

    def report(epoch: int, share: float, loss: float, average: CaptionDecoder) -> None:
        found = f", held out {held_out_loss(average, held):.3f}" if len(held) else ""
        print(f"[{time.strftime('%H:%M:%S')}] epoch {epoch}, {share:.0%}: loss {loss:.3f}{found}")

    network = train_captioner(shape, learnt, settings, seed, out / "run", report)
    export_captioner(network, model)
    specials = tuple(
        place
        for place, piece in enumerate(vocabulary.pieces)
        if piece.startswith("[") and place != vocabulary.end and len(piece) > 1
    )
    beam: dict[str, object] = {
        "end": vocabulary.end,
        "longest": shape.longest,
        "beams": BeamSettings.beams,
        "length_penalty": BeamSettings.length_penalty,
        "forbidden": list(specials),
    }
    record: dict[str, object] = {
        "encoder": encoder.space.fingerprint,
        "pieces": vocabulary.pieces,
        "nearness": 0.0,
        "beam": beam,
    }
    file = model / SETTINGS_FILE
    file.write_text(json.dumps(record), "utf-8")
    if sources.held:
        chosen = choose_settings(
            encoder, [picture.captions for picture in sources.held], held.vectors, held.tokens
        )
        record["nearness"] = chosen.nearness
        beam["length_penalty"] = chosen.length_penalty
        file.write_text(json.dumps(record), "utf-8")
        print(chosen)


def _use_tiny(options: argparse.Namespace, scratch: Path) -> None:
    options.data, options.model = make_tiny_data(scratch / "data"), copy_model(scratch / "model")
    options.out, options.epochs = scratch / "out", 2
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
