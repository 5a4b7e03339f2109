"""What `--tiny` trains on: the photographs of the tests, and a copy of the built-in model."""

from __future__ import annotations

import shutil
from pathlib import Path

from retrieval.encoders.compact import COMPACT_DIR
from samples.photos import CAPTIONS, copy_photos


def make_tiny_data(data: Path) -> Path:
    """A folder as `training/README.md` tells, of the photographs and their captions."""
    copy_photos(data / "flickr8k" / "images")
    shutil.copy(CAPTIONS, data / "flickr8k" / "captions.tsv")
    return data


def copy_model(folder: Path) -> Path:
    """The built-in model in a folder of its own, where it may be written to."""
    return Path(shutil.copytree(COMPACT_DIR, folder))
