"""What the captioner learns from: encoded pictures, captions as word pieces, and their worth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.caption_scores import tokenised
from training.captioning.fit import CaptionedTokens
from training.data import Picture, batches, squash
from training.vocabulary import choose_tokens, wordpiece

END = "[SEP]"
_BLOCK, _BATCH = 1024, 32
# Captions that agree with no other keep some worth.
_LEAST_AGREEMENT = 0.05
# Two captions agree or do not; of three, one can stand apart.
_FEWEST = 3
_FAR = 10_000


class Encoded(NamedTuple):
    """What the encoder makes of n pictures: float32 (n, dim) and int8 (n, rows, token_dim)."""

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int8]


class EncodedPictures:
    """Vectors and tokens of picture files, made once and kept in `folder`, block by block."""

    def __init__(self, encoder: CompactEncoder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._encoder = encoder
        self._folder = folder

    def of(self, paths: Sequence[Path]) -> Encoded:
        """Those of the files, in their order."""
        found = [self._block(paths[own]) for own in batches(len(paths), _BLOCK)]
        return Encoded(
            np.concatenate([own.vectors for own in found]),
            np.concatenate([own.tokens for own in found]),
        )

    def _block(self, paths: Sequence[Path]) -> Encoded:
        digest = hashlib.blake2b(self._encoder.space.fingerprint.encode(), digest_size=12)
        for path in paths:
            digest.update(str(path).encode() + b"\0")
        file = self._folder / f"{digest.hexdigest()}.npz"
        if not file.exists():
            made = self._encode(paths)
            partial = file.with_suffix(".partial")
            with partial.open("wb") as written:
                np.savez(written, vectors=made.vectors, tokens=made.tokens)
            partial.replace(file)
        with np.load(file, allow_pickle=False) as block:
            return Encoded(block["vectors"], block["tokens"])

    def _encode(self, paths: Sequence[Path]) -> Encoded:
        side = self._encoder.preprocessing.size_px
        vectors, tokens = [], []
        with ThreadPoolExecutor(2) as pool:
            for own in batches(len(paths), _BATCH):
                pixels = np.stack(list(pool.map(lambda path: squash(path, side), paths[own])))
                encoding = self._encoder.encode_images(pixels)
                assert encoding.patch_tokens is not None
                vectors.append(encoding.vectors)
                tokens.append(encoding.patch_tokens)
        return Encoded(np.concatenate(vectors), np.concatenate(tokens))


class Vocabulary:
    """The word pieces that captions are made of: those of the model's that they use most."""

    def __init__(self, model_tokenizer: Path, captions: Sequence[str], size: int) -> None:
        whole = Tokenizer.from_file(str(model_tokenizer))
        whole.no_truncation()
        whole.no_padding()
        self.pieces = choose_tokens(whole, captions, [], size)
        self.end = self.pieces.index(END)
        self._tokenizer = wordpiece(self.pieces, _FAR)

    def encode(self, captions: Sequence[str], longest: int) -> list[list[int]]:
        """Captions as word pieces with the end; what is too long loses it."""
        found = self._tokenizer.encode_batch(list(captions), add_special_tokens=False)
        return [[*own.ids, self.end][:longest] for own in found]


def examples(
    pictures: Sequence[Picture],
    encoded: Encoded,
    vocabulary: Vocabulary,
    longest: int,
    weights: Sequence[Sequence[float]] | None = None,
) -> CaptionedTokens:
    """What is learnt from, or held out; without `weights` all captions are worth the same."""
    captions = [vocabulary.encode(picture.captions, longest) for picture in pictures]
    worth = [[1.0] * len(own) for own in captions] if weights is None else weights
    return CaptionedTokens(encoded.vectors, encoded.tokens, captions, worth)


def agreement(pictures: Sequence[Picture]) -> list[list[float]]:
    """How much each caption says what the picture's others say, one on the average of a picture.

    The root of its CIDEr against them, as Phan et al., *Consensus-based Sequence Training for Video
    Captioning* (2017) weigh captions by it.
    """
    from pycocoevalcap.cider.cider import Cider

    said = [[tokenised(caption) for caption in picture.captions] for picture in pictures]
    found = [[1.0] * len(own) for own in said]
    told = [place for place, own in enumerate(said) if len(own) >= _FEWEST]
    for number in range(max((len(said[place]) for place in told), default=0)):
        asked = [place for place in told if len(said[place]) > number]
        others = {place: [*said[place][:number], *said[place][number + 1 :]] for place in asked}
        _, scores = Cider().compute_score(others, {place: [said[place][number]] for place in asked})
        for place, score in zip(asked, scores, strict=True):
            found[place][number] = float(np.sqrt(score + _LEAST_AGREEMENT))
    for place in told:
        mean = sum(found[place]) / len(found[place])
        found[place] = [own / mean for own in found[place]]
    return found
