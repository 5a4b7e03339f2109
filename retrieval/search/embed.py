"""Vectors as an index keeps them and as questions become them, for whoever computes with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.arguments import check_texts
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import Encoder, Vectors
from retrieval.errors import MmsearchError
from retrieval.paths import absolute
from retrieval.query.filters import Below
from retrieval.search.hit import Hit
from retrieval.search.parallel import each

if TYPE_CHECKING:
    from retrieval.catalog import Catalog


def texts_embedded(texts: Sequence[str], encoder: Encoder) -> Vectors:
    """The vectors, (n, dim), that questions in these words are asked with."""
    check_texts(texts)
    # One by one, as questions are encoded: some models round by what else is in a batch.
    found = each(lambda text: encoder.encode_texts([text]).vectors, texts)
    return np.concatenate([np.empty((0, encoder.space.dim), np.float32), *found])


def indexed_vectors(
    pictures: Sequence[Hit | str | os.PathLike[str]], reader: QuickReader
) -> Vectors:
    """The vectors, (n, dim), that the index keeps of answers, or of pictures by their paths.

    Raises MmsearchError for one that is not indexed.
    """
    if isinstance(pictures, str | os.PathLike | Hit):
        raise TypeError("Pictures are a list of hits or paths: put a single one in a list.")
    ids = [item_of(picture, reader) for picture in pictures]
    stored = reader.vectors(sorted(set(ids)))
    for picture, id_ in zip(pictures, ids, strict=True):
        if id_ not in stored:
            raise _not_indexed(picture.path if isinstance(picture, Hit) else Path(picture))
    rows = np.array([stored[id_] for id_ in ids], dtype=np.float32)
    if not ids:
        made_by = reader.encoder
        return np.empty((0, made_by.dim if made_by else 0), np.float32)
    # Halves are off unit length by their rounding.
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def indexed_id(picture: Hit | str | os.PathLike[str], reader: QuickReader | Catalog) -> int | None:
    """The id of the item that an answer or a path stands for; None where it is not indexed."""
    if isinstance(picture, Hit):
        return picture.item_id if picture.item_id in reader.items([picture.item_id]) else None
    path = absolute(picture)
    ids = reader.ids_matching(Below(path)).tolist()
    # A folder holds others' items; of a video, the first moment stands for it.
    own = [id_ for id_, item in sorted(reader.items(ids[:1]).items()) if item.path == path]
    return own[0] if own else None


def item_of(picture: Hit | str | os.PathLike[str], reader: QuickReader | Catalog) -> int:
    """As `indexed_id`; raises MmsearchError where it is not indexed."""
    if isinstance(picture, Hit):
        return picture.item_id
    if not isinstance(picture, str | os.PathLike):
        raise TypeError(f"A picture is a hit or a path, not {type(picture).__name__}.")
    found = indexed_id(picture, reader)
    if found is None:
        raise _not_indexed(absolute(picture))
    return found


def _not_indexed(path: Path) -> MmsearchError:
    return MmsearchError(f"{path} is not indexed.", code="not-indexed", path=path)
