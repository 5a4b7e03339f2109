"""Sentences about pictures: what captioners are, which there are, and beam search."""

from retrieval.captioning.base import Caption, Captioner, PictureToCaption
from retrieval.captioning.registry import (
    CaptionerInfo,
    list_captioners,
    load_captioner,
)

__all__ = [
    "Caption",
    "Captioner",
    "CaptionerInfo",
    "PictureToCaption",
    "list_captioners",
    "load_captioner",
]
