"""Frames of high dynamic range as sRGB, so that an encoder sees them as it sees photographs.

The curves are those of ITU-R BT.2100 (perceptual quantiser and hybrid log-gamma), the white that
diffuse surfaces have, 203 cd/m², is of ITU-R BT.2408. Highlights above it are rolled off by
Reinhard's curve with a white point (Reinhard et al., "Photographic Tone Reproduction for Digital
Images", SIGGRAPH 2002, equation 4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# As ITU-T H.273 numbers transfer characteristics.
PQ = 16
HLG = 18
TRANSFERS = frozenset({PQ, HLG})

_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
# BT.2020 primaries to those of sRGB, ITU-R BT.2087.
_TO_SRGB = np.array(
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    dtype=np.float32,
)


def to_srgb(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """RGB of BT.2020 primaries, uint16 (h, w, 3), as sRGB, uint8 (h, w, 3).

    `transfer` is `PQ` or `HLG`.
    """
    signal = pixels.astype(np.float32) / np.float32(65535)
    nits = _from_pq(signal) if transfer == PQ else _from_hlg(signal)
    light = np.clip(nits / np.float32(_WHITE_NITS) @ _TO_SRGB.T, 0, None)
    luminance = light @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    white = np.float32(_PEAK_NITS / _WHITE_NITS)
    rolled = luminance * (1 + luminance / white**2) / (1 + luminance)
    # Reinhard's curve halves what is as bright as white paper; this puts paper back near white.
    rolled *= 1.6
    light *= (rolled / np.maximum(luminance, 1e-6))[..., np.newaxis]
    return _encoded(np.clip(light, 0, 1))


def _from_pq(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Absolute light in cd/m², SMPTE ST 2084."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** np.float32(1 / m2)
    light = np.maximum(power - c1, 0) / (c2 - c3 * power)
    return np.asarray(10_000 * light ** (1 / m1), dtype=np.float32)


def _from_hlg(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light in cd/m² as a screen of 1,000 shows it, whose system gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.678, 0.0593], dtype=np.float32)
    gain = np.maximum(luminance, 1e-6) ** 0.2
    return np.asarray(_PEAK_NITS * gain[..., np.newaxis] * scene, dtype=np.float32)


def _encoded(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Linear light, 0 to 1, by sRGB's curve."""
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * signal), dtype=np.uint8)
