"""The reader of a file by its name."""

from __future__ import annotations

from retrieval.images.decoder_pool import DecoderPool
from retrieval.media.base import VIDEO, MediaReader, kind_of
from retrieval.media.image import ImageReader
from retrieval.media.video import VideoReader


def reader_of(name: str, decoders: DecoderPool) -> MediaReader:
    """What reads files of such a name, in the processes of `decoders`."""
    return VideoReader(decoders) if kind_of(name) == VIDEO else ImageReader(decoders)
