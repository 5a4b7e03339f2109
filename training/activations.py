"""The frozen trunk's activations of every picture, computed once and kept on disk.

Fine-tuning only the tail then costs a third of a full pass; several augmented views of each
picture make up for the augmentation that cached activations forbid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data import Pixels, batches
from training.mobilenet import TRUNK_CHANNELS, TRUNK_STRIDE
from training.precision import half_where_fast

Activations = NDArray[np.float16]


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (n, S, S, 3) → float32 (n, 3, S, S) in [-1, 1], as the start weights expect."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def trunk_activations(
    trunk: nn.Module,
    read: Callable[[int], Pixels],
    count: int,
    size_px: int,
    file: Path,
    batch_size: int = 32,
) -> Activations:
    """Activations (count, S/16, S/16, 96) of the pictures `read(0…count-1)`, kept in `file`."""
    if file.exists():
        return _map(file)
    side = size_px // TRUNK_STRIDE
    unfinished = file.with_suffix(".part.npy")
    store = np.lib.format.open_memmap(
        unfinished, mode="w+", dtype=np.float16, shape=(count, side, side, TRUNK_CHANNELS)
    )
    trunk = trunk.eval().to(memory_format=torch.channels_last)
    with ThreadPoolExecutor(2) as pool, torch.inference_mode():
        for part in batches(count, batch_size):
            pixels = np.stack(list(pool.map(read, range(part.start, part.stop))))
            store[part] = _forward(trunk, pixels)
    store.flush()
    del store
    unfinished.rename(file)
    return _map(file)


def as_tensor(activations: Activations, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """The activations of some pictures as the tail takes them, float32 (n, 96, h, w)."""
    picked = torch.from_numpy(np.ascontiguousarray(activations[rows]))
    return picked.permute(0, 3, 1, 2).float()


def _map(file: Path) -> Activations:
    activations: Activations = np.load(file, mmap_mode="r")
    return activations


def _forward(trunk: nn.Module, pixels: Pixels) -> Activations:
    inputs = normalise(torch.from_numpy(pixels)).contiguous(memory_format=torch.channels_last)
    with half_where_fast():
        activations: Tensor = trunk(inputs)
    return activations.permute(0, 2, 3, 1).to(torch.float16).numpy()
