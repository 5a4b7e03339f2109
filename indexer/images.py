"""Pictures that a program holds in memory, put into an index under names.

The index keeps a copy of each in a folder of its own that is indexed like any other: what an index
answers with can then be shown, checked, and encoded anew when it moves to another model.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.pipeline.run import index_folders
from indexer.report import IndexReport
from retrieval.encoders.base import Encoder
from retrieval.images.png import as_png
from retrieval.storage.disk import sync_file
from retrieval.storage.index_dir import resolve_index_dir

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIX = ".png"
_LONGEST_NAME_BYTES = 200


def add_images(
    images: Mapping[str, Image],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    encoder: Encoder | None = None,
) -> IndexReport:
    """Add open pictures to an index, each under its name; one of a name that is there is replaced.

    They are kept as `NAME.png` in the folder `pictures` of the index, which is where a `Hit.path`
    of theirs leads. They are removed as other pictures are, by that path. `model` and `encoder` are
    as `index_folders` takes them.

    Raises TypeError or ValueError for a name that no file can have, or for what is no picture, and
    what `index_folders` raises.
    """
    from PIL.Image import Image

    if not isinstance(images, Mapping):
        raise TypeError(f"Pictures come by their names, as a dict, not {type(images).__name__}.")
    for name, image in images.items():
        _check_name(name)
        if not isinstance(image, Image):
            raise TypeError(f"{name} is to be a PIL image, not {type(image).__name__}.")
    folder = resolve_index_dir(index_dir).pictures
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_keep(folder, name, image) for name, image in images.items()]
    if not paths:
        return IndexReport()
    return index_folders(paths, index_dir, model=model, encoder=encoder)


def _keep(folder: Path, name: str, image: Image) -> Path:
    path = folder / f"{name}{_SUFFIX}"
    unfinished = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        unfinished.write_bytes(as_png(image))
        sync_file(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"The name of a picture is a str, not {type(name).__name__}.")
    is_plain = name.strip() and not name.startswith(".") and name.isprintable()
    if not is_plain or any(mark in name for mark in '/\\:*?"<>|'):
        raise ValueError(
            f"{name!r} is no name for a picture: it has to be one that a file can have, without "
            "slashes and not beginning with a dot."
        )
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        raise ValueError(f"The name {name[:20]!r}… is longer than {_LONGEST_NAME_BYTES} bytes.")
