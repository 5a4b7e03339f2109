"""Before it meets a picture the text encoder learns which captions tell of the same one.

Captions are plentiful where captioned pictures are not: 29,000 pictures' captions are learnt from
here whose pictures are not at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.corpus import Corpus, Integers, Texts
from training.losses import agreement_loss, group_loss
from training.precision import half_where_fast
from training.resume import TrainingState, random_state, set_random_state
from training.text_encoder import TextEncoder, mean_over_words


@dataclass(frozen=True)
class TextPretraining:
    """How long and how fast. Each step sees two captions of each of `groups` pictures."""

    steps: int = 1500
    groups: int = 384
    general: int = 384
    rate: float = 1.5e-4
    weight_decay: float = 0.01
    temperature: float = 0.05
    general_weight: float = 1.0


def embed(encoder: TextEncoder, ids: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors (n, width): the mean over the contextual words."""
    with half_where_fast(ids.device):
        _single, mixed = encoder(ids, mask)
    return F.normalize(mean_over_words(mixed.float(), mask), dim=1)


@torch.inference_mode()
def teach(encoder: TextEncoder, texts: Texts, device: torch.device) -> Tensor:
    """What an encoder makes of all texts: unit vectors float16 (n, width) on the device."""
    encoder.eval()
    found = torch.empty(len(texts), encoder.shape.width, dtype=torch.float16, device=device)
    order = np.argsort(np.diff(texts.starts), kind="stable")
    for start in range(0, len(order), 1024):
        rows = order[start : start + 1024]
        ids, mask, _stems = texts.padded(rows, device)
        found[torch.from_numpy(rows).to(device)] = embed(encoder, ids, mask).half()
    return found


def pretrain(
    encoder: TextEncoder,
    corpus: Corpus,
    general_teacher: Tensor,
    settings: TextPretraining,
    seed: int,
    report: Callable[[int, float], None],
    kept: TrainingState | None = None,
) -> None:
    """Train in place, on from what is `kept`, which holds the end as well.

    `general_teacher` (n, width): the start's vectors of `corpus.general`.
    """
    if settings.steps == 0:
        return
    kept = kept or TrainingState()
    rng = np.random.default_rng(seed)
    device = general_teacher.device
    members = _members(corpus)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )
    first = 0
    state = kept.load()
    if state is not None:
        encoder.load_state_dict(state["encoder"])
        optimizer.load_state_dict(state["optimizer"])
        set_random_state(state["random"], rng, device)
        first = int(state["steps"])
    encoder.train()
    for step in range(first, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * cosine(step / settings.steps, 0.05)
        rows, groups = _draw(members, settings.groups, rng)
        vectors = [
            embed(encoder, *texts.padded(own, device)[:2])
            for texts, own in zip((corpus.captions, corpus.unseen), rows, strict=True)
            if len(own)
        ]
        whole = torch.cat(vectors)
        logits = whole @ whole.T / settings.temperature
        loss = group_loss(logits, torch.from_numpy(groups).to(device))
        some = rng.integers(len(corpus.general), size=settings.general)
        ids, mask, _stems = corpus.general.padded(some, device)
        wanted = general_teacher[torch.from_numpy(some).to(device)].float()
        loss = loss + settings.general_weight * agreement_loss(embed(encoder, ids, mask), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if kept.is_due or step == settings.steps - 1:
            kept.save(
                {
                    "encoder": encoder.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "random": random_state(rng, device),
                    "steps": step + 1,
                }
            )
        if step % 100 == 0 or step == settings.steps - 1:
            report(step, float(loss.detach()))


def cosine(share: float, warm_up: float) -> float:
    """The rate's factor after a share of the training: up in a line, down along a cosine."""
    if share < warm_up:
        return (share + 1e-3) / warm_up
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (share - warm_up) / (1.0 - warm_up))))


def _members(corpus: Corpus) -> list[tuple[int, Integers]]:
    """(0 for captions or 1 for unseen, rows) of each picture with two captions or more."""
    return [
        (number, rows)
        for number, texts in enumerate((corpus.captions, corpus.unseen))
        for rows in texts.groups()
    ]


def _draw(
    members: list[tuple[int, Integers]], count: int, rng: np.random.Generator
) -> tuple[tuple[Integers, Integers], Integers]:
    """Two captions of each of `count` pictures: rows of either kind, and all rows' groups."""
    rows: tuple[list[int], list[int]] = ([], [])
    groups: tuple[list[int], list[int]] = ([], [])
    for group, chosen in enumerate(rng.integers(len(members), size=count).tolist()):
        kind, own = members[chosen]
        rows[kind].extend(rng.permutation(own)[:2].tolist())
        groups[kind].extend([group, group])
    both = tuple(np.array(own, np.int64) for own in rows)
    return (both[0], both[1]), np.array([*groups[0], *groups[1]], np.int64)
