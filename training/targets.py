"""How much each picture of a batch is right for each text, where more than one may be."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_targets(teacher: Tensor, share: float, temperature: float) -> Tensor:
    """Mostly the identity, and a `share` spread over texts that the teacher finds alike.

    teacher: unit vectors (n, width) → (n, n), each row summing to one.
    """
    alike = (teacher @ teacher.T / temperature).softmax(dim=-1)
    itself = torch.eye(len(teacher), device=teacher.device)
    return (1.0 - share) * itself + share * alike


def stem_sets(stems: Tensor, count: int) -> Tensor:
    """Stems int64 (n, L), -1 for none, as sets: float (n, count), one where a text has the stem."""
    sets = torch.zeros(len(stems), count + 1, device=stems.device)
    sets.scatter_(1, torch.where(stems < 0, count, stems), 1.0)
    return sets[:, :count]


def fulfilled(texts: Tensor, pictures: Tensor) -> Tensor:
    """Where a picture's captions together name all that a text names: bool (n, m).

    texts (n, count) and pictures (m, count) are sets of stems. A short question is true of many
    pictures of a batch, and none of them may be pushed away from it.
    """
    missing = texts @ (1.0 - pictures).T
    return missing < 0.5


def matching_targets(texts: Tensor, pictures: Tensor, soft: Tensor) -> Tensor:
    """Targets (n, n) for texts and the pictures in the same rows: rows sum to one.

    A text that others' pictures fulfil is shared out among them; else `soft` holds.
    """
    fits = fulfilled(texts, pictures).float()
    fits.fill_diagonal_(1.0)
    counts = fits.sum(dim=1, keepdim=True)
    return torch.where(counts > 1.5, fits / counts, soft)


def absent_words(stems: Tensor, pictures: Tensor) -> Tensor:
    """Which tokens name something that the captions of the picture do not: bool (n, L).

    stems int64 (n, L), -1 for none (never absent); pictures (n, count): sets of stems, row by row.
    """
    known = torch.gather(pictures, 1, stems.clamp(min=0)) > 0.5
    return (stems >= 0) & ~known
