"""What the reranker is trained on: pictures, captions, false twins, as finished towers see them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from training.captions import KINDS, false_twin, words_of
from training.contrastive import without_marks
from training.corpus import Integers, Texts, as_texts
from training.data import Picture
from training.sources import is_well_told

_CAPTIONS = 3


@dataclass(frozen=True)
class SeenTexts:
    """Texts with the text tower's tokens of them, float16 (all words, word_dim) end to end."""

    texts: Texts
    words: NDArray[np.float16]

    def padded(self, rows: Integers) -> tuple[Tensor, Tensor, Tensor]:
        """Word tokens (n, L, word_dim), mask bool (n, L) without marks, stems int64 (n, L)."""
        _ids, mask, stems = self.texts.padded(rows, torch.device("cpu"))
        words = torch.zeros(*mask.shape, self.words.shape[1])
        starts = self.texts.starts
        words[mask] = torch.from_numpy(
            np.concatenate([self.words[starts[row] : starts[row + 1]] for row in rows])
        ).float()
        return words, without_marks(mask), stems


@dataclass(frozen=True)
class RerankingExamples:
    """Pictures with captions, and false twins of these.

    `vectors` float32 (n, dim) and `tokens` int8 (n, rows, token_dim) of n pictures. Captions belong
    to pictures, twins to captions. `rarity` (twins,): one by how many are of the same kind.
    `named`: the stems that each picture's captions name. `well_told` bool (n,): captions enough for
    what they do not name to be absent.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int8]
    captions: SeenTexts
    twins: SeenTexts
    rarity: NDArray[np.float64]
    named: list[Integers]
    well_told: NDArray[np.bool_]

    def absent(self, stems: Tensor, pictures: Integers) -> Tensor:
        """Which words the captions of the picture in the same row do not name: bool (n, L)."""
        known = np.stack(
            [
                np.isin(row, self.named[own])
                for row, own in zip(stems.numpy(), pictures, strict=True)
            ]
        )
        return (stems >= 0) & ~torch.from_numpy(known)


def make_examples(
    encoder: CompactEncoder,
    pictures: Sequence[Picture],
    vectors: NDArray[np.float32],
    tokens: NDArray[np.int8],
    folder: Path,
    seed: int,
) -> RerankingExamples:
    """Some captions of each picture, a twin of each kind that they have, and all that they name.

    Word tokens are made once and kept in `folder`.
    """
    rng = np.random.default_rng(seed)
    tokenizer = Tokenizer.from_file(str(encoder.model_dir / "tokenizer.json"))
    stems: dict[str, int] = {}
    everything = [words_of(text) for picture in pictures for text in picture.captions]
    owner = np.repeat(np.arange(len(pictures)), [len(own.captions) for own in pictures])
    all_named = as_texts(tokenizer, everything, owner, stems)
    chosen = np.concatenate(
        [rng.permutation(own)[:_CAPTIONS] for own in all_named.of_each(len(pictures))]
    )
    captions = [everything[row] for row in chosen]
    twins = [
        (number, words_of(twin.text), kind)
        for number, words in enumerate(captions)
        for kind in KINDS
        if (twin := false_twin(" ".join(words), rng, [kind])) is not None
    ]
    parts = [
        as_texts(tokenizer, captions, owner[chosen], stems),
        as_texts(tokenizer, [own[1] for own in twins], [own[0] for own in twins], stems),
    ]
    counts = Counter(kind for *_, kind in twins)
    seen = [SeenTexts(own, _word_tokens(encoder, own, folder)) for own in parts]
    return RerankingExamples(
        vectors,
        tokens,
        seen[0],
        seen[1],
        np.array([1.0 / counts[kind] for *_, kind in twins]),
        _named(all_named, len(pictures)),
        np.array([is_well_told(picture) for picture in pictures]),
    )


def _named(texts: Texts, pictures: int) -> list[Integers]:
    owners = np.repeat(texts.owner, np.diff(texts.starts))
    told = texts.stems >= 0
    pairs = np.unique(np.stack([owners[told], texts.stems[told]]), axis=1)
    cuts = np.searchsorted(pairs[0], np.arange(1, pictures))
    return np.split(pairs[1], cuts)


def _word_tokens(encoder: CompactEncoder, texts: Texts, folder: Path) -> NDArray[np.float16]:
    digest = hashlib.blake2b((encoder.model_dir / "text.onnx").read_bytes(), digest_size=12)
    digest.update(texts.ids.tobytes() + texts.starts.tobytes())
    file = folder / f"words-{digest.hexdigest()}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tower = OnnxSession(encoder.model_dir / "text.onnx")
        ids = np.split(texts.ids.astype(np.int64)[np.newaxis], texts.starts[1:-1], axis=1)
        np.save(file, np.concatenate([_seen(tower, own) for own in ids]))
    kept: NDArray[np.float16] = np.load(file, mmap_mode="r", allow_pickle=False)
    return kept


def _seen(tower: OnnxSession, ids: Integers) -> NDArray[np.float16]:
    """Token ids (1, L) → word tokens (L, word_dim), alone as when somebody asks."""
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    (tokens,) = tower.run(["tokens"], inputs)
    found: NDArray[np.float16] = tokens[0].astype(np.float16)
    return found
