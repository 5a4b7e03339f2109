"""Whether two pictures are copies of one: resized, recompressed, mirrored, cropped or marked.

Vectors say which pictures are about the same; this says whether they are the same, by laying one
upon the other. Pictures of one burst are alike all over, yet nothing in them lies quite where it
lay: of a copy nearly every part does.

A crop is found by normalised cross-correlation over scales (Lewis, Fast normalized
cross-correlation, 1995), then moved by fractions of a pixel until it fits best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.images.preprocess import Preprocessing

Gray = NDArray[np.float32]
CopyKind = Literal["same", "cropped", "mirrored", "mirrored and cropped"]

SIDE_PX = 128
# What a thumbnail is made by: the whole picture in a square.
PREPROCESSING = Preprocessing(SIDE_PX, "squash", "bilinear")

# A crop keeps at least this share of either side; smaller parts are another picture.
SMALLEST_CROP = 0.6
_SCALES = 14
# Where a crop is looked for at first: the longer side of the larger picture.
_COARSE_PX = 32
_SMALLEST_PART_PX = 6
_PEAKS = 4
# Below this correlation no part lies there; where it does, there are 0.8 and more.
_LEAST_PEAK = 0.6
_FINE_PX = 48
_WHOLE = (0.0, 0.0, 1.0, 1.0)
# Parts that are compared one by one, so that a mark in a corner spoils only its own.
_PARTS = 8
# Below this contrast, in levels of grey, a part is plain, and tells nothing.
_PLAIN = 3.0
# A part fits from this correlation on.
_PART_FITS = 0.8

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A picture as copies are told by: `gray` float32 (128, 128), and its size in full."""

    gray: Gray
    width_px: int
    height_px: int

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], width_px: int, height_px: int) -> Thumbnail:
        """Of RGB pixels, uint8 (128, 128, 3), made by `PREPROCESSING`."""
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return cls(pixels.astype(np.float32) @ weights, width_px, height_px)


@dataclass(frozen=True)
class Fit:
    """How well one picture lies upon another.

    `fitting`: the share of parts that correlate, of those that show anything; `typical`: the
    median of their correlations; `kind` says how the second was laid upon the first.
    """

    fitting: float
    typical: float
    kind: CopyKind

    @property
    def is_copy(self) -> bool:
        """Whether the two are copies. The bounds were measured, see `benchmarks/duplicates.py`."""
        # Of a marked copy some parts are spoilt and the others are the very same; of a crop all are
        # a little off.
        marked = self.fitting >= 0.7 and self.typical >= 0.985
        return marked or (self.fitting >= 0.9 and self.typical >= 0.96)


def compare(one: Thumbnail, other: Thumbnail) -> Fit:
    """The best fit of two pictures, whichever of them is a part of the other."""
    best: Fit | None = None
    for kind, box, inner, outer in _ways(one, other):
        fit = _fit(_cut(outer.gray, box, SIDE_PX), inner, kind)
        if fit.is_copy:
            return fit
        if best is None or (fit.fitting, fit.typical) > (best.fitting, best.typical):
            best = fit
    assert best is not None
    return best


def are_copies(one: Thumbnail, other: Thumbnail) -> bool:
    """Whether two pictures are copies of one."""
    return compare(one, other).is_copy


def _ways(one: Thumbnail, other: Thumbnail) -> Iterator[tuple[CopyKind, Box, Gray, Thumbnail]]:
    """Ways to lay one upon the other, the likely ones first: kind, where, the part, the whole."""
    mirrored = np.ascontiguousarray(other.gray[:, ::-1])
    yield "same", _WHOLE, other.gray, one
    yield "mirrored", _WHOLE, mirrored, one
    found = [
        (score, is_mirrored, box, inner, outer)
        for outer, inner in ((one, other), (other, one))
        for score, is_mirrored, box in _coarse(outer, inner)
        if score >= _LEAST_PEAK
    ]
    found.sort(key=lambda way: -way[0])
    for _, is_mirrored, box, inner, outer in found[:_PEAKS]:
        gray = np.ascontiguousarray(inner.gray[:, ::-1]) if is_mirrored else inner.gray
        kind: CopyKind = "mirrored and cropped" if is_mirrored else "cropped"
        yield kind, _refined(outer, gray, box), gray, outer


def _coarse(outer: Thumbnail, inner: Thumbnail) -> Iterator[tuple[float, bool, Box]]:
    """Where a part may lie in a whole: for each scale a place, as it is and one mirrored.

    Each with its correlation.
    """
    factor = _COARSE_PX / max(outer.width_px, outer.height_px)
    width, height = (max(8, round(side * factor)) for side in (outer.width_px, outer.height_px))
    whole = _resized(outer.gray, width, height)
    aspect = inner.width_px / inner.height_px
    largest_width = min(width, height * aspect)
    sizes = []
    for share in np.linspace(1.0, SMALLEST_CROP, _SCALES):
        size = (round(largest_width * share), round(largest_width * share / aspect))
        size = (min(size[0], width), min(size[1], height))
        if min(size) >= _SMALLEST_PART_PX and size not in sizes and size != (width, height):
            sizes.append(size)
    if not sizes:
        return
    templates = np.zeros((2, len(sizes), height, width), dtype=np.float32)
    for row, (part_width, part_height) in enumerate(sizes):
        part = _resized(inner.gray, part_width, part_height)
        part = part - part.mean()
        part /= max(1e-6, float(np.linalg.norm(part)))
        templates[0, row, :part_height, :part_width] = part
        templates[1, row, :part_height, :part_width] = part[:, ::-1]
    spectrum = np.fft.rfft2(whole)
    products = np.fft.irfft2(np.conj(np.fft.rfft2(templates)) * spectrum, s=(height, width))
    sums, squares = _running_sums(whole), _running_sums(whole * whole)
    for row, (part_width, part_height) in enumerate(sizes):
        count = part_width * part_height
        total = _sums_of_windows(sums, part_width, part_height)
        spread = _sums_of_windows(squares, part_width, part_height) - total * total / count
        norms = np.sqrt(np.maximum(spread, count * 1.0))
        for is_mirrored in (False, True):
            product = products[int(is_mirrored), row]
            scores = product[: height - part_height + 1, : width - part_width + 1] / norms
            place = int(scores.argmax())
            top, left = divmod(place, scores.shape[1])
            box = (left / width, top / height, part_width / width, part_height / height)
            yield float(scores[top, left]), is_mirrored, box


def _refined(outer: Thumbnail, inner: Gray, box: Box) -> Box:
    """The box near one at which the part correlates best with the whole."""
    small = _resized(inner, _FINE_PX, _FINE_PX)
    image = Image.fromarray(outer.gray)

    def score(place: Box) -> float:
        return _correlation(_cut_from(image, place, _FINE_PX), small)

    best, best_score = box, score(box)
    step = 1 / _COARSE_PX
    while step > 1 / (3 * SIDE_PX):
        moved = True
        for _ in range(6):
            if not moved:
                break
            moved = False
            for candidate in _around(best, step):
                own = score(candidate)
                if own > best_score:
                    best, best_score, moved = candidate, own, True
        step /= 2
    return best


def _around(box: Box, step: float) -> Iterator[Box]:
    left, top, width, height = box
    for x, y in ((step, 0), (-step, 0), (0, step), (0, -step)):
        yield _inside(left + x, top + y, width, height)
    for factor in (1 + step, 1 - step):
        wide, high = width * factor, height * factor
        yield _inside(left - (wide - width) / 2, top - (high - height) / 2, wide, high)


def _inside(left: float, top: float, width: float, height: float) -> Box:
    width, height = min(width, 1.0), min(height, 1.0)
    return (
        min(max(left, 0.0), 1.0 - width), min(max(top, 0.0), 1.0 - height), width, height,
    )  # fmt: skip


def _fit(one: Gray, other: Gray, kind: CopyKind) -> Fit:
    parts = _correlations(_smooth(one), _smooth(other))
    if not len(parts):
        # Nothing to be seen in either.
        return Fit(0.0, 0.0, kind)
    return Fit(float((parts >= _PART_FITS).mean()), float(np.median(parts)), kind)


def _correlations(one: Gray, other: Gray) -> Gray:
    """The correlation of each part that is not plain in both, float32 (p,)."""
    first, second = _in_parts(one), _in_parts(other)
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    contrasts = np.stack([first.std(axis=1), second.std(axis=1)])
    shown = contrasts.max(axis=0) >= _PLAIN
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products: Gray = (first * second).sum(axis=1) / np.maximum(norms, 1e-6)
    of_shown: Gray = products[shown]
    return of_shown


def _in_parts(gray: Gray) -> Gray:
    side = SIDE_PX // _PARTS
    return gray.reshape(_PARTS, side, _PARTS, side).swapaxes(1, 2).reshape(_PARTS**2, side**2)


def _smooth(gray: Gray) -> Gray:
    """What compression and half a pixel of offset change little."""
    padded = np.pad(gray, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth: Gray = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return smooth


def _correlation(one: Gray, other: Gray) -> float:
    first, second = one - one.mean(), other - other.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / max(norm, 1e-6)


def _cut(gray: Gray, box: Box, side_px: int) -> Gray:
    if box == _WHOLE and side_px == SIDE_PX:
        return gray
    return _cut_from(Image.fromarray(gray), box, side_px)


def _cut_from(image: Image.Image, box: Box, side_px: int) -> Gray:
    left, top, width, height = (edge * SIDE_PX for edge in box)
    edges = (left, top, min(left + width, SIDE_PX), min(top + height, SIDE_PX))
    resized = image.resize((side_px, side_px), Image.Resampling.BILINEAR, box=edges)
    return np.asarray(resized, dtype=np.float32)


def _resized(gray: Gray, width: int, height: int) -> Gray:
    resized = Image.fromarray(gray).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized, dtype=np.float32)


def _running_sums(values: Gray) -> NDArray[np.float64]:
    return np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _sums_of_windows(sums: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    return found
