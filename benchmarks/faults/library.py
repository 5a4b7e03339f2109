"""Small libraries of pictures that change, and the whole state of an index, to be compared."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.catalog import Catalog
from retrieval.errors import IndexMissingError
from retrieval.storage.patch_tokens import PatchTokenStore
from retrieval.vectors.faiss.store import FaissStore

_PAGE_BYTES = 4096
_SOME_TIME_NS = 1_600_000_000_000_000_000


def paint(path: Path, seed: int) -> None:
    """A small picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(path)
    os.utime(path, ns=(_SOME_TIME_NS + seed, _SOME_TIME_NS + seed))


def make_library(folder: Path, count: int) -> None:
    """`count` pictures in three folders, a copy, and two files that are no pictures."""
    for seed in range(count):
        paint(folder / f"{seed % 3}" / f"{seed:04}.png", seed)
    shutil.copy2(folder / "0" / "0000.png", folder / "copy.png")
    (folder / "text.jpg").write_bytes(b"Dear diary")
    (folder / "empty.png").write_bytes(b"")


def change_library(folder: Path, count: int) -> None:
    """Pictures are added, painted over, deleted, moved, copied, damaged and mended."""
    for seed in range(0, count, 6):
        paint(folder / f"{seed % 3}" / f"{seed:04}.png", 10_000 + seed)
    for seed in range(1, count, 9):
        (folder / f"{seed % 3}" / f"{seed:04}.png").unlink()
    for seed in range(2, count, 9):
        (folder / f"{seed % 3}" / f"{seed:04}.png").rename(folder / f"moved {seed:04}.png")
    for seed in range(count, count + count // 4):
        paint(folder / "new" / f"{seed:04}.png", seed)
    shutil.copy2(folder / "new" / f"{count:04}.png", folder / "another copy.png")
    (folder / "0" / "0003.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    paint(folder / "text.jpg", 99_999)


def damage_catalog(index_dir: Path) -> None:
    """Overwrite a page in the middle of the largest table, as a failing disk does."""
    path = index_dir / "catalog.sqlite"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // _PAGE_BYTES * _PAGE_BYTES)
        file.write(b"\xa5" * _PAGE_BYTES)


@dataclass(frozen=True)
class State:
    """All that an index holds, by path: facts of pictures, vectors, tokens, failures."""

    pictures: dict[str, tuple[int, ...]]
    vectors: dict[str, bytes]
    tokens: dict[str, bytes]
    failures: dict[str, str]


def state_of(index_dir: Path) -> State:
    """The state of an index; an empty one where there is none yet."""
    try:
        catalog = Catalog.open(index_dir / "catalog.sqlite")
    except IndexMissingError:
        return State({}, {}, {}, {})
    with catalog:
        pictures: dict[str, tuple[int, ...]] = {}
        path_of: dict[int, str] = {}
        for root in catalog.roots():
            for path, file in catalog.known_files(root.id):
                if file.file_id is None:
                    continue
                full = str(root.path / path)
                assert full not in pictures, f"{full} stands there twice"
                pictures[full] = (file.size_bytes, file.mtime_ns)
                path_of[file.file_id] = full
        ids = list(path_of)
        assert len(ids) == catalog.count_items(), "pictures without a folder"
        vectors = {path_of[id_]: own.tobytes() for id_, own in catalog.vectors(ids).items()}
        assert set(vectors) == set(pictures), "pictures without a vector"
        encoder = catalog.encoder
        tokens: dict[str, bytes] = {}
        if encoder is not None and (index_dir / "tokens.sqlite").exists():
            with PatchTokenStore.open(index_dir / "tokens.sqlite", encoder.fingerprint) as cache:
                tokens = {path_of[id_]: own.tobytes() for id_, own in cache.get(ids).items()}
        failures = {str(failure.path): failure.kind for failure in catalog.failures()}
    return State(pictures, vectors, tokens, failures)


def require_sound(index_dir: Path) -> None:
    """Assert that the catalogue is sound, and that every picture answers to its own vector."""
    try:
        catalog = Catalog.open(index_dir / "catalog.sqlite")
    except IndexMissingError:
        return
    with catalog:
        assert catalog.check_integrity() == [], "the catalogue is damaged"
        ids = catalog.item_ids()
        if not len(ids):
            return
        store = FaissStore(index_dir)
        index = store.load(catalog).index
        vectors = catalog.vectors(ids.tolist())
        questions = np.stack([vectors[id_] for id_ in ids.tolist()]).astype(np.float32)
        _scores, found = index.search(questions, len(ids))
        for row in found:
            assert sorted(row.tolist()) == ids.tolist(), "an index with other pictures"
        same = [
            np.array_equal(vectors[int(best)], vectors[int(own)])
            for best, own in zip(found[:, 0], ids, strict=True)
        ]
        assert all(same), "a picture does not answer to its own vector"
