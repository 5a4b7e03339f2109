"""The towers of an open_clip model as torch modules that export well: bytes or ids in, unit vectors
out.

For the transformers of CLIP there is a form of its own that computes the same with less: patches
are cut by a matrix product, nothing is computed that the pooled token does not need, and a text
need not be padded to the full context. For everything else open_clip's own code is traced.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def image_tower(model: Any, mean: Tensor, deviation: Tensor) -> nn.Module:
    """A module from pixels, uint8 (n, S, S, 3), to unit vectors, float32 (n, dim).

    `mean` and `deviation` are those of the model's preprocessing, of values in [0, 1], any shape
    of three elements.
    """
    module: nn.Module
    if _is_plain_transformer(model.visual):
        module = _ClipImages(model, mean.flatten(), deviation.flatten())
    else:
        module = _AnyImages(model, mean.flatten(), deviation.flatten())
    return module.eval()


def text_tower(model: Any) -> nn.Module:
    """A module from ids, int64 (n, length), to unit vectors, float32 (n, dim).

    Its `takes_short_ids` says whether `length` may be less than the model's context.
    """
    module = _ClipTexts(model) if _is_causal_text(model) else _AnyTexts(model)
    return module.eval()


class _AnyImages(nn.Module):
    scale: Tensor
    shift: Tensor

    def __init__(self, model: Any, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("scale", 1.0 / (255.0 * deviation))
        self.register_buffer("shift", mean / deviation)

    def forward(self, pixels: Tensor) -> Tensor:
        values = pixels.float() * self.scale - self.shift
        vectors: Tensor = self.model.encode_image(values.permute(0, 3, 1, 2), normalize=True)
        return vectors


class _ClipImages(nn.Module):
    """A `VisionTransformer` whose answer is one token's."""

    weights: Tensor
    places: Tensor
    start: Tensor

    def __init__(self, model: Any, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.visual = model.visual
        convolution = self.visual.conv1
        self.patch = int(convolution.kernel_size[0])
        self.width = int(convolution.out_channels)
        # About the mean of a byte, and whole, so that in int8 bytes stay as they are and what
        # rounding does to the weights is not summed up over a patch.
        self.middle = round(255.0 * float(mean.mean()))
        # (width, 3, p, p) to (p · p · 3, width): the order of the bytes of a patch. Normalising
        # is a scale and a shift for each channel, so the weights and the bias can take it in.
        weights = convolution.weight.detach().permute(2, 3, 1, 0)
        scaled = weights / (255.0 * deviation).view(1, 1, 3, 1)
        shift = (scaled * (255.0 * mean - self.middle).view(1, 1, 3, 1)).sum(dim=(0, 1, 2))
        self.register_buffer("weights", scaled.reshape(-1, self.width).contiguous())
        bias = -shift if convolution.bias is None else convolution.bias.detach() - shift
        first, rest = self.visual.positional_embedding.detach().split(
            [1, len(self.visual.positional_embedding) - 1]
        )
        self.register_buffer("places", rest + bias)
        self.register_buffer("start", (self.visual.class_embedding.detach() + first).view(1, 1, -1))

    def forward(self, pixels: Tensor) -> Tensor:
        visual, patch = self.visual, self.patch
        side = pixels.shape[1] // patch
        cut = pixels.view(-1, side, patch, side, patch * 3).permute(0, 1, 3, 2, 4)
        patches = cut.reshape(-1, side * side, patch * patch * 3).float() - self.middle
        states = patches @ self.weights + self.places
        states = torch.cat([self.start.expand(states.shape[0], -1, -1), states], dim=1)
        states = visual.ln_pre(states)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            states = _block(block, states)
        pooled = visual.ln_post(_block(last, states, queries=states[:, :1])[:, 0])
        if visual.proj is not None:
            pooled = pooled @ visual.proj
        return functional.normalize(pooled, dim=-1)


class _AnyTexts(nn.Module):
    takes_short_ids = False

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.model.encode_text(ids, normalize=True)
        return vectors


class _ClipTexts(nn.Module):
    """The text side of `CLIP`: attention looks back only, so what follows the end mark is idle."""

    takes_short_ids = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.end_id = model.text_eos_id if model.text_pool_type == "eos" else None

    def forward(self, ids: Tensor) -> Tensor:
        model = self.model
        length = ids.shape[1]
        states = model.token_embedding(ids) + model.positional_embedding[:length]
        mask = model.attn_mask[:length, :length]
        *blocks, last = model.transformer.resblocks
        for block in blocks:
            states = _block(block, states, mask)
        ends = ids.argmax(dim=-1) if self.end_id is None else (ids == self.end_id).int().argmax(-1)
        rows = torch.arange(ids.shape[0], device=ids.device)
        own_mask = mask[ends].view(-1, 1, 1, length)
        pooled = _block(last, states, own_mask, queries=states[rows, ends].unsqueeze(1))[:, 0]
        pooled = model.ln_final(pooled)
        projection = model.text_projection
        if isinstance(projection, nn.Linear):
            pooled = projection(pooled)
        elif projection is not None:
            pooled = pooled @ projection
        return functional.normalize(pooled, dim=-1)


def _block(
    block: Any, states: Tensor, mask: Tensor | None = None, queries: Tensor | None = None
) -> Tensor:
    """A `ResidualAttentionBlock` on (n, length, width); of `queries` alone where they are given."""
    seen = block.ln_1(states)
    asked = seen if queries is None else block.ln_1(queries)
    own = states if queries is None else queries
    own = own + block.ls_1(_attention(block.attn, asked, seen, mask))
    result: Tensor = own + block.ls_2(block.mlp(block.ln_2(own)))
    return result


def _attention(attention: Any, asked: Tensor, seen: Tensor, mask: Tensor | None) -> Tensor:
    """`nn.MultiheadAttention` written out, so that a traced graph takes any length."""
    width, heads = attention.embed_dim, attention.num_heads
    weights, bias = attention.in_proj_weight, attention.in_proj_bias
    factor = (width // heads) ** -0.5
    query = functional.linear(asked, weights[:width] * factor, bias[:width] * factor)
    key, value = functional.linear(seen, weights[width:], bias[width:]).chunk(2, dim=-1)
    query, key, value = (_in_heads(part, heads) for part in (query, key, value))
    similarity = query @ key.transpose(-1, -2)
    if mask is not None:
        similarity = similarity + mask
    mixed = (similarity.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
    result: Tensor = attention.out_proj(mixed)
    return result


def _in_heads(states: Tensor, heads: int) -> Tensor:
    """(n, length, width) to (n, heads, length, width / heads)."""
    n, length, width = states.shape
    return states.reshape(n, length, heads, width // heads).transpose(1, 2)


def _is_plain_transformer(visual: Any) -> bool:
    convolution = getattr(visual, "conv1", None)
    return (
        type(visual).__name__ == "VisionTransformer"
        and isinstance(convolution, nn.Conv2d)
        and convolution.stride == convolution.kernel_size
        and convolution.padding in (0, (0, 0), "valid")
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.output_tokens
        and _has_plain_blocks(visual.transformer)
    )


def _is_causal_text(model: Any) -> bool:
    return (
        type(model).__name__ == "CLIP"
        and getattr(model, "attn_mask", None) is not None
        and getattr(model, "text_pool_type", None) in ("argmax", "eos")
        and _has_plain_blocks(model.transformer)
    )


def _has_plain_blocks(transformer: Any) -> bool:
    return all(
        type(block).__name__ == "ResidualAttentionBlock"
        and isinstance(block.attn, nn.MultiheadAttention)
        and block.attn.in_proj_bias is not None
        and block.attn.bias_k is None
        for block in transformer.resblocks
    )
