"""What the towers and the reranker are trained by, batch by batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from retrieval.rerankers.training.network import RerankerNetwork

_EPS = 1e-6


def agreement_loss(vectors: Tensor, teacher: Tensor, temperature: float = 0.05) -> Tensor:
    """Cross-entropy between student and teacher about which texts of the batch are alike.

    vectors (n, dim) and teacher (n, width), unit vectors; a text is not compared to itself.
    """
    itself = torch.eye(len(teacher), dtype=torch.bool, device=teacher.device)
    wanted = (teacher @ teacher.T / temperature).masked_fill(itself, -1e4).softmax(dim=-1)
    found = (vectors @ vectors.T / temperature).masked_fill(itself, -1e4).log_softmax(dim=-1)
    return F.kl_div(found, wanted, reduction="batchmean")


def group_loss(logits: Tensor, groups: Tensor) -> Tensor:
    """Texts (n, n) find those of their own group: cross-entropy shared out among them.

    A row without another of its group counts nothing (Khosla et al., *Supervised Contrastive
    Learning*, NeurIPS 2020).
    """
    itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    same = (groups[:, None] == groups[None, :]) & ~itself
    found = logits.masked_fill(itself, -1e4).log_softmax(dim=-1)
    counts = same.sum(dim=1)
    losses = -(found * same).sum(dim=1) / counts.clamp(min=1)
    return losses[counts > 0].mean() if bool((counts > 0).any()) else logits.sum() * 0.0


def both_ways(scores: Tensor, targets: Tensor, false: Tensor | None = None) -> Tensor:
    """Symmetric cross-entropy of scores (texts, pictures) with targets whose rows sum to one.

    `false` (m, pictures): scores of texts that are right for none; pictures must not choose them.
    """
    by_text = -(targets * scores.log_softmax(dim=1)).sum(dim=1).mean()
    wanted = (targets / targets.sum(dim=0, keepdim=True).clamp(min=_EPS)).T
    rivals = scores if false is None else torch.cat([scores, false])
    chosen = rivals.T.log_softmax(dim=1)[:, : len(scores)]
    by_picture = -(wanted * chosen).sum(dim=1).mean()
    return 0.5 * (by_text + by_picture)


def word_patch_loss(
    network: RerankerNetwork,
    words: Tensor,
    mask: Tensor,
    patches: Tensor,
    targets: Tensor,
    *,
    group: int,
    hidden: float,
) -> Tensor:
    """`both_ways` over the reranker's scores of all pairs within groups of a batch.

    Args:
        words: word tokens, float (n, L, word_dim), with `mask` bool (n, L).
        patches: patch tokens, float (n, rows, token_dim); row i belongs to text i.
        targets: (n, n), how much each picture is right for each text.
        group: texts and pictures that compete with one another.
        hidden: the share of patches that is hidden, the same ones for all of a group.
    """
    losses = []
    for start in range(0, len(words), group):
        part = slice(start, start + group)
        shown = shown_patches(network.shape.patches, hidden, words.device)
        scores = network.every_pair(words[part], mask[part], patches[part], shown)
        wanted = targets[part, part]
        losses.append(both_ways(scores, wanted / wanted.sum(dim=1, keepdim=True)))
    return torch.stack(losses).mean()


def shown_patches(count: int, hidden: float, device: torch.device) -> Tensor:
    """Which of so many patches are to be seen, int64 (s,) in order, a share of them hidden."""
    seen = max(1, round((1.0 - hidden) * count))
    return torch.randperm(count, device=device)[:seen].sort().values


def lead_loss(own: Tensor, other: Tensor) -> Tensor:
    """Captions lead their false twins by more with their own pictures than with others.

    own and other (n,): how much a text's score exceeds its twin's, with its picture and with
    another. True captions read otherwise than made ones, so that a lead alone is learnt from the
    texts; what it gains by the picture is not.
    """
    return F.softplus(other - own).mean()


def presence_loss(attention: Tensor, counted: Tensor, absent: Tensor) -> Tensor:
    """Words that are there look at the picture, words that are not look at nothing.

    attention (n, L, P): weights over patches, less than one in sum where a word looks at nothing;
    `counted` and `absent` bool (n, L): which words are judged, and which of them are not there.
    """
    looked = attention.sum(dim=-1).float().clamp(_EPS, 1.0 - _EPS)
    losses = -torch.where(absent, (1.0 - looked).log(), looked.log())
    # Both kinds count alike, however many there are of each.
    parts = [losses[counted & kind].mean() for kind in (absent, ~absent) if (counted & kind).any()]
    return torch.stack(parts).mean() if parts else losses.sum() * 0.0


def overlap_loss(attention: Tensor, stems: Tensor) -> Tensor:
    """How alike different words of a text look at the picture: the mean cosine of their maps.

    attention (n, L, P); `stems` int64 (n, L), -1 for words that are not compared. Neighbours are
    left out: they are often one phrase, as "brown dog".
    """
    maps = F.normalize(attention.float(), dim=-1, eps=_EPS)
    alike = maps @ maps.transpose(1, 2)
    told = stems >= 0
    places = torch.arange(stems.shape[1], device=stems.device)
    far = (places[:, None] - places[None, :]).abs() > 2
    pairs = told[:, :, None] & told[:, None, :] & (stems[:, :, None] != stems[:, None, :]) & far
    return (alike * pairs).sum() / pairs.sum().clamp(min=1)


def looking_loss(
    own: Tensor,
    elsewhere: Tensor,
    counted: Tensor,
    absent: Tensor,
    stems: Tensor,
    *,
    presence: float,
    overlap: float,
) -> Tensor:
    """Where the words of texts look, in their own pictures and in others: both losses, weighted.

    own and elsewhere (n, L, P): attention in a text's picture and in another; `counted` bool
    (n, L): words that are judged, and `absent` those of them that are surely not in the other;
    `stems` int64 (n, L).
    """
    there = presence_loss(
        torch.cat([own, elsewhere]),
        torch.cat([counted, absent]),
        torch.cat([torch.zeros_like(absent), absent]),
    )
    apart = overlap_loss(own, torch.where(counted, stems, -1))
    return presence * there + overlap * apart
