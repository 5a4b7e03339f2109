"""Photographs with captions to measure on: one's own, or the samples where none are given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.evaluation.captions import CaptionedImage, read_captions
from samples.photos import CAPTIONS, copy_photos


@dataclass(frozen=True)
class CaptionedPhotos:
    """Pictures with their captions, and the folder in which they are."""

    images: Path
    pictures: list[CaptionedImage]

    def alone(self, folder: Path) -> Path:
        """A new folder with these pictures and no other, as links."""
        folder.mkdir()
        for image in self.pictures:
            (folder / Path(image.name).name).symlink_to((self.images / image.name).resolve())
        return folder


def add_captioned_options(parser: argparse.ArgumentParser) -> None:
    """Give a script `--images`, `--captions` and `--split`."""
    parser.add_argument("--images", type=Path, help="by default the sample photographs")
    parser.add_argument("--captions", type=Path, default=CAPTIONS)
    parser.add_argument("--split", help="of the captions file, by default all of it")


def captioned_photos(options: argparse.Namespace, scratch: Path) -> CaptionedPhotos:
    """What the options name; samples are copied below the folder `scratch`."""
    images = sample_photos(options.images, scratch)
    pictures = read_captions(options.captions, split=options.split)
    return CaptionedPhotos(images, _present(pictures, images))


def sample_photos(images: Path | None, scratch: Path) -> Path:
    """The folder of pictures, or one with the samples below `scratch` where there is none."""
    if images is not None:
        return images
    copy_photos(scratch / "samples")
    return scratch / "samples"


def _present(pictures: Sequence[CaptionedImage], images: Path) -> list[CaptionedImage]:
    return [picture for picture in pictures if (images / picture.name).exists()]
