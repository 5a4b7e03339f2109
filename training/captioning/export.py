"""The trained captioner as two ONNX graphs whose weights take eight bits.

`memory` is run once for a picture, `step` once for each word piece, with the keys and values of
what was said before, so that nothing is computed twice. Weights alone take eight bits: what is said
of a picture does not depend on the pictures beside it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.captioning.compact import MEMORY_FILE, STEP_FILE
from retrieval.encoders.onnx.session import OnnxSession
from training.captioning.network import CaptionDecoder, DecoderLayer, joined
from training.export import export_graph

_LEVELS = 127
# Of logits of a few units.
_TOLERANCE = 1e-3


class EightBitTable(nn.Module):
    """A matrix in eight bits, each row with a step of its own."""

    codes: Tensor
    steps: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        steps = (table.detach().abs().amax(dim=1, keepdim=True) / _LEVELS).clamp_min(1e-12)
        self.register_buffer("codes", (table.detach() / steps).round().to(torch.int8))
        self.register_buffer("steps", steps)

    def rows(self, places: Tensor) -> Tensor:
        """The rows at these places, (…, width)."""
        return self.codes[places].float() * self.steps[places]

    def product(self, x: Tensor) -> Tensor:
        """(…, width) → (…, rows)."""
        return (x @ self.codes.float().T) * self.steps[:, 0]


class EightBitLinear(nn.Module):
    """A linear layer whose weights are such a table."""

    bias: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.table = EightBitTable(layer.weight)
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        return self.table.product(x) + self.bias


class MemoryGraph(nn.Module):
    """Vectors and patch tokens to what the step needs of pictures."""

    def __init__(self, network: CaptionDecoder) -> None:
        super().__init__()
        self.network = in_eight_bits(network)

    def forward(self, vectors: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What begins a caption, (n, width), and keys and values, (layers, n, heads, rows, w)."""
        rows = self.network.seen(tokens)
        found = [layer.remember(rows) for layer in self.network.stack]
        keys = torch.stack([memory.keys for memory in found])
        return self.network.begin(vectors), keys, torch.stack([memory.values for memory in found])


class StepGraph(nn.Module):
    """One more word piece of each of b captions of n pictures."""

    def __init__(self, network: CaptionDecoder) -> None:
        super().__init__()
        self.table = EightBitTable(network.words.weight)
        self.network = in_eight_bits(network)
        self.scale = network.shape.width**0.5

    def forward(
        self,
        pieces: Tensor,
        place: Tensor,
        start: Tensor,
        keys: Tensor,
        values: Tensor,
        said_keys: Tensor,
        said_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What comes next.

        Args:
            pieces: said last, int64 (n, b); -1 at the beginning.
            place: in the caption, int64 (1,), from 0.
            start: as `MemoryGraph` gives it, with `keys` and `values`.
            keys: see there.
            values: see there.
            said_keys: of what was said before, (layers, n · b, heads, place, head width).
            said_values: likewise.

        Returns:
            Log-probabilities, (n, b, vocabulary), and keys and values with this piece's.
        """
        pictures, beams = pieces.shape
        states = torch.where(
            (pieces < 0)[..., None],
            start[:, None],
            self.table.rows(pieces.clamp_min(0)) * self.scale,
        )
        states = (states + self.network.places[place]).flatten(0, 1)[:, None]
        all_keys, all_values = [], []
        for number, layer in enumerate(self.network.stack):
            states, own_keys, own_values = _step(
                layer,
                states,
                (keys[number], values[number]),
                (said_keys[number], said_values[number]),
                (pictures, beams),
            )
            all_keys.append(own_keys)
            all_values.append(own_values)
        logits = self.table.product(self.network.last_norm(states[:, 0]))
        likely = logits.log_softmax(dim=-1).view(pictures, beams, -1)
        return likely, torch.stack(all_keys), torch.stack(all_values)


def _step(
    layer: DecoderLayer,
    states: Tensor,
    memory: tuple[Tensor, Tensor],
    said: tuple[Tensor, Tensor],
    counts: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """A layer for states (n · b, 1, width) whose past is kept."""
    queries, keys, values = map(layer.split, layer.own(layer.own_norm(states)).chunk(3, dim=-1))
    keys, values = torch.cat([said[0], keys], dim=2), torch.cat([said[1], values], dim=2)
    states = states + layer.own_out(joined(_attend(queries, keys, values)))
    asked = layer.asked(layer.seen_norm(states)).view(counts[0], counts[1], -1)
    seen = layer.seen_out(joined(_attend(layer.split(asked), *memory)))
    states = states + seen.view(counts[0] * counts[1], 1, -1)
    return states + layer.within(states), keys, values


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    weights = (queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5).softmax(dim=-1)
    found: Tensor = weights @ values
    return found


def in_eight_bits(network: CaptionDecoder) -> CaptionDecoder:
    """A copy whose linear layers keep their weights in eight bits, without the words' table."""
    copied = copy.deepcopy(network).eval()
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                module.add_module(name, EightBitLinear(child))
    copied.add_module("words", nn.Identity())
    return copied


def export_captioner(network: CaptionDecoder, folder: Path) -> None:
    """Write both graphs to `folder`. Raises RuntimeError where they do not give what torch does."""
    folder.mkdir(parents=True, exist_ok=True)
    memory, step = MemoryGraph(network).eval(), StepGraph(network).eval()
    seen = _pictures(network, 2)
    state = memory(*seen)
    many = torch.export.Dim.DYNAMIC
    export_graph(
        memory,
        seen,
        folder / MEMORY_FILE,
        inputs=["vectors", "tokens"],
        outputs=["start", "keys", "values"],
        dynamic={"vectors": {0: many}, "tokens": {0: many}},
    )
    export_graph(
        step,
        _first(network, state, beams=3, said=2),
        folder / STEP_FILE,
        inputs=["pieces", "place", "start", "keys", "values", "said_keys", "said_values"],
        outputs=["likely", "all_keys", "all_values"],
        dynamic={
            "pieces": {0: many, 1: many},
            "place": None,
            "start": {0: many},
            "keys": {1: many},
            "values": {1: many},
            "said_keys": {1: many, 3: many},
            "said_values": {1: many, 3: many},
        },
    )
    _check(memory, step, network, folder)


def _pictures(network: CaptionDecoder, count: int) -> tuple[Tensor, Tensor]:
    shape = network.shape
    generator = torch.Generator().manual_seed(count)
    vectors = F.normalize(torch.randn(count, shape.vector_dim, generator=generator), dim=-1)
    tokens = torch.randint(
        -127, 128, (count, shape.rows, shape.token_dim), generator=generator, dtype=torch.int8
    )
    return vectors, tokens


def _first(
    network: CaptionDecoder, state: tuple[Tensor, Tensor, Tensor], beams: int, said: int
) -> tuple[Tensor, ...]:
    """Inputs of a step after `said` pieces, of random past."""
    start, keys, values = state
    layers, pictures, heads, _rows, width = keys.shape
    generator = torch.Generator().manual_seed(said)
    past = torch.randn(2, layers, pictures * beams, heads, said, width, generator=generator)
    first = 4 if said else -1
    pieces = torch.full((pictures, beams), first, dtype=torch.int64)
    return pieces, torch.tensor([said]), start, keys, values, past[0], past[1]


def _check(memory: MemoryGraph, step: StepGraph, network: CaptionDecoder, folder: Path) -> None:
    for pictures, beams, said in ((1, 1, 0), (3, 2, 1), (2, 5, 4)):
        seen = _pictures(network, pictures)
        with torch.inference_mode():
            state = memory(*seen)
            inputs = _first(network, state, beams, said)
            wanted = (*state, *step(*inputs))
        found = OnnxSession(folder / MEMORY_FILE).run(
            ["start", "keys", "values"],
            {name: own.numpy() for name, own in zip(("vectors", "tokens"), seen, strict=True)},
        )
        names = ("pieces", "place", "start", "keys", "values", "said_keys", "said_values")
        found += OnnxSession(folder / STEP_FILE).run(
            ["likely", "all_keys", "all_values"],
            {name: own.numpy() for name, own in zip(names, inputs, strict=True)},
        )
        for mine, theirs in zip(found, wanted, strict=True):
            if not np.allclose(mine, theirs.numpy(), atol=_TOLERANCE, rtol=_TOLERANCE):
                raise RuntimeError("The exported captioner does not agree with the trained one.")
