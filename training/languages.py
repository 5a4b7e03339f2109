"""Train the head for other languages: `python -m training.languages --data DIR --model DIR`.

    python -m training.languages --data DATA --model MODEL --cache CACHE [--out MODEL/languages.npz]

Sentence vectors (multilingual-e5-small, 20 ms a text) depend on no model of ours and stay in the
cache; what the model itself makes of English sentences and of pictures takes minutes and is made
anew. Captions of pictures that its training held out are kept to measure on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.languages.multilingual import HEAD_FILE, LanguageHead
from training.data import Picture, hold_out, of_split, read_labelled, read_pictures
from training.e5_vectors import E5Cache
from training.language_head import HeadRecipe, Pairs, train_head
from training.model_vectors import ModelVectors
from training.questions import noun_phrases
from training.tiny import copy_model
from training.translations import Sentence, by_flickr_id, read_captions, read_parallel

Vectors = NDArray[np.float32]
_PHRASES = 1500


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="with flickr8k/ and multi30k/")
    parser.add_argument("--model", type=Path, help="a compact model's folder")
    parser.add_argument("--cache", type=Path, help="keeps sentence vectors between runs")
    parser.add_argument("--out", type=Path, help=f"default: {HEAD_FILE} in the model's folder")
    parser.add_argument("--sentences", type=int, default=60_000, help="at most so many")
    parser.add_argument(
        "--known-only", action="store_true", help="only sentences that the cache holds already"
    )
    parser.add_argument("--pictures", type=int, default=6000, help="whose vectors are aimed at")
    parser.add_argument("--held-out", type=int, default=500, help="as in the model's training")
    parser.add_argument("--hidden", type=int, default=HeadRecipe.hidden)
    parser.add_argument("--epochs", type=int, default=HeadRecipe.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="six sentences, in seconds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if options.tiny:
            _use_tiny(options, Path(scratch))
        if options.data is None or options.model is None:
            parser.error("--data and --model are needed, except with --tiny")
        folder = options.cache or Path(scratch) / "e5"
        cache = E5Cache(folder)
        if options.known_only:
            options.sentences = None
        recipe = HeadRecipe(hidden=options.hidden, epochs=options.epochs)
        head = train(
            options.data, options.model, folder, cache, recipe, options.sentences,
            options.held_out, options.pictures, options.seed,
        )  # fmt: skip
        out = options.out or options.model / HEAD_FILE
        head.save(out)
        print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def train(
    data: Path,
    model: Path,
    folder: Path,
    cache: E5Cache,
    recipe: HeadRecipe,
    count: int | None,
    held_out: int,
    most_pictures: int,
    seed: int,
) -> LanguageHead:
    """Train on all but the pictures held out; prints what it finds of those.

    `count`: of how many sentences; None for all that the cache holds. What the model makes of
    English sentences and pictures is kept in `folder` as well, under the model's fingerprint.
    """
    pictures = of_split(
        read_pictures(data / "flickr8k" / "captions.tsv", data / "flickr8k" / "images"), "train"
    )
    _, held = hold_out(pictures, held_out, 0)
    held_names = {pictures[i].path.name for i in held}
    sentences = _sentences(data, pictures)
    learnt = [one for one in sentences if one.image not in held_names]
    if count is None:
        known = cache.known([one.text for one in learnt])
        learnt = [one for one, is_known in zip(learnt, known, strict=True) if is_known]
    else:
        learnt = learnt[:count]
        cache.add(one.text for one in learnt)
    encoder = CompactEncoder(model)
    names = sorted({one.image for one in learnt if one.image})[:most_pictures]
    texts = sorted({one.english for one in learnt if one.english})
    print(f"{len(learnt)} sentences, {len(texts)} in English, {len(names)} pictures", flush=True)
    rows = {name: row for row, name in enumerate(names)}
    english = {text: row for row, text in enumerate(texts)}
    images = data / "flickr8k" / "images"
    kept = ModelVectors(encoder, folder)
    pairs = Pairs(
        sentences=cache.vectors([one.text for one in learnt]),
        english=np.array([english.get(one.english or "", -1) for one in learnt]),
        pictures=np.array([rows.get(one.image or "", -1) for one in learnt]),
        english_vectors=kept.of_texts(texts),
        picture_vectors=kept.of_images([images / name for name in names]),
    )
    head = train_head(
        pairs, recipe, encoder.space.fingerprint, seed,
        lambda epoch, loss: print(f"epoch {epoch + 1}: loss {loss:.4f}", flush=True),
    )  # fmt: skip
    _judge(head, kept, cache, [pictures[i] for i in held], sentences)
    return head


def _sentences(data: Path, pictures: Sequence[Picture]) -> list[Sentence]:
    """All that can be learnt from, what tells most first."""
    names = [picture.path.name for picture in pictures]
    parallel = read_parallel(data, by_flickr_id(names))
    known = [one for one in parallel if one.image is not None]
    others = [one for one in parallel if one.image is None]
    own = [one for one in read_captions(data, "train", "task2") if one.image in set(names)]
    # English itself, so that what is near in English stays near.
    english = [
        Sentence(text, "en", text, picture.path.name)
        for picture in pictures
        for text in picture.captions[:2]
    ]
    return [*_short_english(data), *known, *english, *own[::2], *others, *own[1::2]]


def _short_english(data: Path) -> list[Sentence]:
    """Names of things and noun phrases in English, of which translated captions know few.

    What is near in English is near in every language of the sentence encoder.
    """
    names = [
        f"a {name.strip()}"
        for item in read_labelled(data / "imagenet_samples")
        for name in item.class_name.split(",")[:1]
    ]
    coco = data / "coco"
    pictures = read_pictures(coco / "captions.tsv", coco) if coco.exists() else []
    counts = Counter(
        phrase for one in pictures for text in one.captions for phrase in noun_phrases(text)
    )
    phrases = [phrase for phrase, count in counts.most_common(_PHRASES) if count > 1]
    texts = dict.fromkeys([*names, *(f"a {phrase}" for phrase in phrases), *phrases])
    return [Sentence(text, "en", english=text) for text in texts]


def _judge(
    head: LanguageHead,
    kept: ModelVectors,
    cache: E5Cache,
    held: Sequence[Picture],
    sentences: Sequence[Sentence],
) -> None:
    """Print recall at 10 among the pictures held out: by language, and in English."""
    places = {picture.path.name: place for place, picture in enumerate(held)}
    vectors = kept.of_images([picture.path for picture in held])
    mine = [one for one in sentences if one.image in places and cache.known([one.text])[0]]
    for language in sorted({one.language for one in mine}):
        some = [one for one in mine if one.language == language]
        owner = np.array([places[one.image or ""] for one in some])
        found = recall_at_10(head(cache.vectors([one.text for one in some])), vectors, owner)
        print(f"held out, {language}: R@10 {100 * found:.1f} ({len(some)} sentences)", flush=True)
    texts = [text for picture in held for text in picture.captions[:2]]
    owner = np.repeat(np.arange(len(held)), [len(picture.captions[:2]) for picture in held])
    found = recall_at_10(kept.of_texts(texts), vectors, owner)
    print(f"held out, English text tower: R@10 {100 * found:.1f}", flush=True)


def recall_at_10(texts: Vectors, images: Vectors, owner: NDArray[np.int64]) -> float:
    """The share of texts (n, dim) whose picture is among the ten nearest of (p, dim)."""
    similarities = texts @ images.T
    own = similarities[np.arange(len(texts)), owner][:, np.newaxis]
    return float(((similarities > own).sum(axis=1) < 10).mean())


def _use_tiny(options: argparse.Namespace, scratch: Path) -> None:
    """A data folder of two photographs with captions in two languages."""
    import shutil

    from samples import photos

    data = scratch / "data"
    photos.copy_photos(data / "flickr8k" / "images")
    for name, copy in (("chelsea.png", "1_a.png"), ("coffee.png", "2_b.png")):
        shutil.copy(data / "flickr8k" / "images" / name, data / "flickr8k" / "images" / copy)
    (data / "flickr8k" / "captions.tsv").write_text(
        "image\tsplit\tcaption\n1_a.png\ttrain\ta cat\n2_b.png\ttrain\ta cup of coffee\n"
        "1_a.png\ttrain\ta tabby cat\n2_b.png\ttrain\tcoffee in a cup\n",
        "utf-8",
    )
    (data / "multi30k").mkdir()
    (data / "multi30k" / "parallel.tsv").write_text(
        "flickr_id\ten\tde\tfr\tcs\n1\ta cat\teine Katze\tun chat\tkočka\n"
        "2\ta cup of coffee\teine Tasse Kaffee\tune tasse de café\tšálek kávy\n",
        "utf-8",
    )
    (data / "multi30k" / "flickr8k_captions.tsv").write_text(
        "image\tcaption\tlang\tsplit\tkind\n1_a.png\teine Katze blickt\tde\ttrain\ttask2.1\n",
        "utf-8",
    )
    options.data, options.held_out, options.epochs = data, 1, 2
    options.model = options.model or copy_model(scratch / "model")


if __name__ == "__main__":
    main()
