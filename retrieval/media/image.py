"""Pictures as media: a file is one item, which has no time."""

from __future__ import annotations

from pathlib import Path

from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.files import read_known_file
from retrieval.images.preprocess import Preprocessing
from retrieval.media.base import IMAGE


class ImageReader:
    """A `MediaReader` of picture files."""

    kind = IMAGE

    def __init__(self, decoders: DecoderPool) -> None:
        self._decoders = decoders

    def show(self, path: Path, time_ms: int | None, preprocessing: Preprocessing) -> DecodedImage:
        """See `MediaReader`; a picture has no time."""
        return self._decoders.decode(read_known_file(path), preprocessing)
