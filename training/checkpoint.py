"""Weights of a training on disk: in sixteen bits and in files small enough to be carried about."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

_FILE_BYTES = 14 * 2**20


def save_weights(module: nn.Module, folder: Path, name: str) -> None:
    """Write the state of a module as `NAME-0.pt`, `NAME-1.pt`, …, in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for key, tensor in module.state_dict().items():
        own = tensor.detach().cpu()
        own = own.half() if own.is_floating_point() else own
        if size and size + own.nbytes > _FILE_BYTES:
            parts.append({})
            size = 0
        parts[-1][key] = own.clone()
        size += own.nbytes
    for number, part in enumerate(parts):
        torch.save(part, folder / f"{name}-{number}.pt")


def load_weights(module: nn.Module, folder: Path, name: str) -> None:
    """Read what `save_weights` wrote. Raises FileNotFoundError where there is nothing."""
    files = sorted(folder.glob(f"{name}-*.pt"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no weights called {name}.")
    state: dict[str, torch.Tensor] = {}
    for file in files:
        state.update(torch.load(file, map_location="cpu", weights_only=True))
    own = module.state_dict()
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})
