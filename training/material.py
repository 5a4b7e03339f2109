"""From a data folder to all that contrastive training reads: views, captions, general texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from training.activations import Activations, trunk_activations
from training.contrastive import Material
from training.data import (
    Labelled,
    Picture,
    augment,
    batches,
    hold_out,
    of_split,
    read_labelled,
    read_pictures,
    squash,
)
from training.mobilenet import MobileNetV2
from training.precision import half_where_fast
from training.recipe import Recipe
from training.text_encoder import TextEncoder, mean_over_words
from training.text_states import encode_ids, lower_states, pad_ids
from training.wordnet import read_synsets
from training.wordnet import texts as wordnet_texts

LEAST_VIEW_AREA = 0.4


@dataclass(frozen=True)
class Source:
    """What lies in the data folder.

    `learnt` pictures are trained on; `held` are kept from training to choose by; `general` are
    texts of general English; `classes` name what each of `labelled` shows.
    """

    learnt: list[Picture]
    held: list[Picture]
    labelled: list[Labelled]
    general: list[str]

    @property
    def classes(self) -> list[str]:
        """A caption for each labelled picture."""
        return [f"a photo of a {item.class_name.split(',')[0]}" for item in self.labelled]


def read_source(
    captions: Path, images: Path, labelled: Path, wordnet: Path, recipe: Recipe, seed: int
) -> Source:
    """Read the data folder; WordNet and the labelled pictures are optional."""
    pictures = of_split(read_pictures(captions, images), "train", "extra")
    kept, held = hold_out(pictures, recipe.held_out, 0)
    items = read_labelled(labelled)
    names = [name.strip() for item in items for name in item.class_name.split(",")]
    texts = wordnet_texts(read_synsets(wordnet))
    order = np.random.default_rng(seed).permutation(len(texts))[: recipe.general_texts]
    general = [texts[i] for i in order] + [f"a photo of a {name}" for name in names]
    return Source(
        learnt=[pictures[i] for i in kept],
        held=[pictures[i] for i in held],
        labelled=items,
        general=general or [text for picture in pictures for text in picture.captions],
    )


@dataclass(frozen=True)
class Teacher:
    """The text encoder that stays as it is, with its own tokenizer."""

    encoder: TextEncoder
    tokenizer: Tokenizer

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, width) of the texts: the mean over their words."""
        ids = [row[: self.encoder.shape.max_tokens] for row in encode_ids(self.tokenizer, texts)]
        order = np.argsort([len(row) for row in ids], kind="stable")
        found = torch.zeros(len(ids), self.encoder.shape.width)
        self.encoder.eval()
        with torch.inference_mode():
            for part in batches(len(order), 256):
                padded, mask = pad_ids([ids[i] for i in order[part]])
                with half_where_fast():
                    states = self.encoder(padded, mask)
                rows = torch.from_numpy(order[part])
                found[rows] = F.normalize(mean_over_words(states.float(), mask), dim=1)
        return found


def prepare(
    source: Source,
    network: MobileNetV2,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    teacher: Teacher,
    recipe: Recipe,
    cache: Path,
) -> Material:
    """Compute what the frozen parts make of everything; pictures' activations stay in `cache`."""
    captions = [text for picture in source.learnt for text in picture.captions]
    ends = np.cumsum([len(picture.captions) for picture in source.learnt])
    return Material(
        views=_views(source.learnt, network, recipe, cache),
        rows=np.arange(len(source.learnt)),
        captions=lower_states(encoder, tokenizer, captions),
        caption_teacher=teacher.vectors(captions),
        captions_of=[
            np.arange(end - len(picture.captions), end)
            for picture, end in zip(source.learnt, ends, strict=True)
        ],
        general=lower_states(encoder, tokenizer, source.general),
        general_teacher=teacher.vectors(source.general),
        labelled=_labelled(source.labelled, network, recipe, cache),
        labels=lower_states(encoder, tokenizer, source.classes) if source.labelled else None,
    )


def held_out_pixels(pictures: Sequence[Picture], recipe: Recipe) -> list[NDArray[np.uint8]]:
    """The pictures as batches of pixels, uint8 (≤ 8, S, S, 3), as a user's are prepared."""
    return [
        np.stack([squash(picture.path, recipe.size_px) for picture in pictures[part]])
        for part in batches(len(pictures), 8)
    ]


def _views(
    pictures: Sequence[Picture], network: MobileNetV2, recipe: Recipe, cache: Path
) -> list[Activations]:
    side = recipe.size_px
    clean = trunk_activations(
        network.trunk,
        lambda i: squash(pictures[i].path, side),
        len(pictures),
        side,
        cache / f"clean_{side}.npy",
    )
    augmented = [
        trunk_activations(
            network.trunk,
            lambda i, view=view: augment(  # type: ignore[misc]
                pictures[i].path, side, np.random.default_rng([view, i]), LEAST_VIEW_AREA
            ),
            len(pictures),
            side,
            cache / f"view{view}_{side}.npy",
        )
        for view in range(recipe.views)
    ]
    return [clean, *augmented]


def _labelled(
    items: Sequence[Labelled], network: MobileNetV2, recipe: Recipe, cache: Path
) -> Activations | None:
    if not items:
        return None
    return trunk_activations(
        network.trunk,
        lambda i: squash(items[i].path, recipe.size_px),
        len(items),
        recipe.size_px,
        cache / f"labelled_{recipe.size_px}.npy",
    )
