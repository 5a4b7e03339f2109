"""What training reads, in one folder that needs nothing else: pictures, texts and start weights.

Made once on the machine that holds the data (`prepare`), so that a machine with a GPU can train
from a copy of the folder. Pictures are squashed to one size; texts are token ids, end to end.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from training.captions import content_word, false_twin, short_question, with_slip, words_of
from training.data import Picture, Pixels, squash

Integers = NDArray[np.int64]
_QUALITY = 55
_PACK_BYTES = 36 * 2**20
_SHORT_QUESTIONS = 2


@dataclass(frozen=True)
class Texts:
    """Texts as token ids end to end: text i owns `ids[starts[i]:starts[i + 1]]`.

    `stems`: for each token the number of the stem that its word is known by, -1 where the word
    shows nothing. `owner`: each text's picture, or its group where there is none.
    """

    ids: NDArray[np.int16]
    stems: NDArray[np.int16]
    starts: Integers
    owner: Integers

    def __len__(self) -> int:
        return len(self.starts) - 1

    def padded(self, rows: Integers, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Ids int64 (n, L), mask bool (n, L) and stems int64 (n, L) of some texts."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.zeros(mask.shape, np.int64)
        stems = np.full(mask.shape, -1, np.int64)
        places = (self.starts[rows][:, None] + np.arange(mask.shape[1]))[mask]
        ids[mask], stems[mask] = self.ids[places], self.stems[places]
        return (
            torch.from_numpy(ids).to(device),
            torch.from_numpy(mask).to(device),
            torch.from_numpy(stems).to(device),
        )

    def of_each(self, owners: int) -> list[Integers]:
        """The rows of the texts of each of so many owners."""
        order = np.argsort(self.owner, kind="stable")
        return np.split(order, np.searchsorted(self.owner[order], np.arange(1, owners)))

    def groups(self) -> list[Integers]:
        """The rows of the texts of each owner who has two or more."""
        order = np.argsort(self.owner, kind="stable")
        cuts = np.flatnonzero(np.diff(self.owner[order])) + 1
        return [rows for rows in np.split(order, cuts) if len(rows) > 1]


@dataclass(frozen=True)
class Corpus:
    """All that is learnt from.

    `captions` belong to pictures; `slips` are theirs with typing errors, text by text; `questions`
    and `twins` are short pieces and false twins of them, owned by captions. `unseen` captions have
    no picture: those of one group tell of one. `general` is English at large. `stems` counts them.
    """

    captions: Texts
    slips: Texts
    questions: Texts
    twins: Texts
    unseen: Texts
    general: Texts
    stems: int
    vocabulary: tuple[str, ...]


def prepare(
    pictures: Sequence[Picture],
    unseen: Sequence[Sequence[str]],
    general: Sequence[str],
    tokenizer: Tokenizer,
    side_px: int,
    seed: int,
    folder: Path,
) -> None:
    """Write the pictures and texts to `folder`; start weights are put there by the caller."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pictures.npz").exists():
        pack_pictures([picture.path for picture in pictures], side_px, folder)
    rng = np.random.default_rng(seed)
    stems: dict[str, int] = {}
    captions = [words_of(text) for picture in pictures for text in picture.captions]
    owner = np.repeat(np.arange(len(pictures)), [len(p.captions) for p in pictures])
    pieces = [
        (number, piece)
        for number, words in enumerate(captions)
        for _ in range(_SHORT_QUESTIONS)
        if (piece := short_question(words, rng)) is not None
    ]
    twins = [
        (number, words_of(twin.text))
        for number, words in enumerate(captions)
        if (twin := false_twin(" ".join(words), rng)) is not None
    ]
    groups = [(number, words_of(text)) for number, texts in enumerate(unseen) for text in texts]
    parts = {
        "captions": as_texts(tokenizer, captions, owner, stems),
        "slips": as_texts(tokenizer, [with_slip(c, rng) for c in captions], owner, stems, captions),
        "questions": as_texts(tokenizer, [p for _, p in pieces], [n for n, _ in pieces], stems),
        "twins": as_texts(tokenizer, [t for _, t in twins], [n for n, _ in twins], stems),
        "unseen": as_texts(tokenizer, [t for _, t in groups], [n for n, _ in groups], None),
        "general": as_texts(tokenizer, [words_of(t) for t in general], range(len(general)), None),
    }
    arrays = {
        f"{name}_{field}": getattr(texts, field)
        for name, texts in parts.items()
        for field in ("ids", "stems", "starts", "owner")
    }
    np.savez_compressed(folder / "texts.npz", **arrays)
    about = {"stems": len(stems), "vocabulary": sorted(stems, key=stems.__getitem__)}
    (folder / "corpus.json").write_text(json.dumps(about) + "\n", "utf-8")


def read_corpus(folder: Path) -> Corpus:
    """What `prepare` wrote, without the pictures."""
    arrays = np.load(folder / "texts.npz")
    about = json.loads((folder / "corpus.json").read_text("utf-8"))
    parts = {
        name: Texts(*(arrays[f"{name}_{field}"] for field in ("ids", "stems", "starts", "owner")))
        for name in ("captions", "slips", "questions", "twins", "unseen", "general")
    }
    return Corpus(**parts, stems=about["stems"], vocabulary=tuple(about["vocabulary"]))


def pack_pictures(paths: Sequence[Path], side_px: int, folder: Path) -> None:
    """Write the pictures, squashed to squares, as `pictures-*.bin` with `pictures.npz` beside."""
    with ThreadPoolExecutor() as pool:
        encoded = list(pool.map(lambda path: _encoded(squash(path, side_px)), paths))
    sizes = np.array([len(own) for own in encoded], np.int64)
    parts = np.cumsum(sizes) // _PACK_BYTES
    for number in range(int(parts[-1]) + 1):
        rows = np.flatnonzero(parts == number)
        (folder / f"pictures-{number}.bin").write_bytes(b"".join(encoded[i] for i in rows))
    np.savez(folder / "pictures.npz", sizes=sizes, parts=parts, side_px=np.int64(side_px))


def read_pictures(folder: Path, workers: int = 16) -> Tensor:
    """All pictures as bytes, uint8 (n, 3, S, S)."""
    index = np.load(folder / "pictures.npz")
    sizes, parts, side = index["sizes"], index["parts"], int(index["side_px"])
    pixels = torch.empty(len(sizes), 3, side, side, dtype=torch.uint8)

    def decode(row: int, data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            own = np.array(image.convert("RGB"))
        pixels[row] = torch.from_numpy(own).permute(2, 0, 1)

    with ThreadPoolExecutor(workers) as pool:
        for number in range(int(parts[-1]) + 1):
            data = (folder / f"pictures-{number}.bin").read_bytes()
            rows = np.flatnonzero(parts == number)
            ends = np.cumsum(sizes[rows])
            own = (data[end - size : end] for end, size in zip(ends, sizes[rows], strict=True))
            list(pool.map(decode, rows.tolist(), own))
    return pixels


def as_texts(
    tokenizer: Tokenizer,
    texts: Sequence[Sequence[str]],
    owner: Iterable[int] | Integers,
    stems: dict[str, int] | None,
    meant: Sequence[Sequence[str]] | None = None,
) -> Texts:
    """Texts, given as words, as tokens; `meant` are the words without slips.

    `stems` gets new ones added; None where they don't matter.
    """
    ids: list[int] = []
    known: list[int] = []
    starts = [0]
    encodings = tokenizer.encode_batch([list(words) for words in texts], is_pretokenized=True)
    for encoding, words in zip(encodings, meant or texts, strict=True):
        ids += encoding.ids
        for place in encoding.word_ids:
            if stems is None or place is None:
                known.append(-1)
                continue
            stem = content_word(words[place])
            known.append(-1 if stem is None else stems.setdefault(stem, len(stems)))
        starts.append(len(ids))
    owners = owner if isinstance(owner, np.ndarray) else np.fromiter(owner, np.int64)
    return Texts(np.array(ids, np.int16), np.array(known, np.int16), np.array(starts), owners)


def _encoded(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=_QUALITY, method=4)
    return out.getvalue()
