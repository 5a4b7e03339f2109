"""Joint training of both picture towers, the text tower and the reranker, end to end.

Pictures compete with pictures for texts and texts for pictures, in batches that more and more
consist of look-alikes, as the candidates of a question do. Beside captions there are short
questions, which are true of many pictures; false twins, which are true of none; and texts without
pictures, by which the text tower keeps what it knows.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.augment import random_views
from training.averaging import update_average
from training.corpus import Corpus, Integers, Texts
from training.losses import (
    agreement_loss,
    both_ways,
    group_loss,
    looking_loss,
    word_patch_loss,
)
from training.neighbours import nearest_others
from training.precision import half_where_fast
from training.resume import TrainingState, random_state, set_random_state
from training.targets import absent_words, matching_targets, soft_targets, stem_sets
from training.text_pretraining import cosine
from training.towers import Towers


@dataclass(frozen=True)
class ContrastiveSettings:
    """How long, how fast and by what.

    A batch holds `batch_size` pictures; `alike` of it, growing from none, are families of
    `relatives` that are drawn from the `pool` most alike. `minutes`: after so many the training is
    brought to its end early, the rate's course with it.
    """

    epochs: float = 40.0
    batch_size: int = 512
    head_rate: float = 1e-3
    backbone_rate: float = 4e-4
    text_rate: float = 1e-4
    weight_decay: float = 0.05
    warm_up: float = 0.05
    average_decay: float = 0.996
    soft_share: float = 0.2
    soft_temperature: float = 0.05
    slips: float = 0.08
    questions: float = 0.2
    word_dropout: float = 0.1
    alike: float = 0.6
    relatives: int = 8
    pool: int = 48
    general_batch: int = 192
    general_weight: float = 0.5
    unseen_weight: float = 0.2
    reranker_weight: float = 1.0
    reranker_group: int = 192
    hidden_patches: float = 0.35
    twin_weight: float = 0.3
    presence_weight: float = 0.3
    overlap_weight: float = 0.05
    minutes: float | None = None
    memory_format: torch.memory_format = torch.channels_last


@dataclass(frozen=True)
class Material:
    """What a training reads, on its device.

    `pictures` uint8 (n, 3, S, S). `caption_teacher` (c, width) and `general_teacher`: unit vectors
    of a text encoder that stays as it is. `stems` (n, count): all that a picture's captions name.
    `well_told` bool (n,): pictures with captions enough for what they do not name to be absent.
    """

    corpus: Corpus
    pictures: Tensor
    learnt: Integers
    caption_teacher: Tensor
    general_teacher: Tensor
    stems: Tensor
    well_told: Tensor


Report = Callable[[int, float, float, Towers], None]


def train_contrastive(
    towers: Towers,
    material: Material,
    settings: ContrastiveSettings,
    seed: int,
    report: Report,
    kept: TrainingState | None = None,
) -> Towers:
    """Train in place, on from what is `kept`; returns the exponential average of the weights.

    `report` is called after each epoch with its number, the share done, its mean loss and the
    average.
    """
    course = _Course(towers, material, settings, seed, kept or TrainingState())
    while not course.is_done():
        loss = course.run_epoch()
        report(course.epochs, course.share(), loss, course.average.eval())
    return course.average.eval()


class _Course:
    """A training under way."""

    def __init__(
        self,
        towers: Towers,
        material: Material,
        settings: ContrastiveSettings,
        seed: int,
        kept: TrainingState,
    ) -> None:
        self.towers = towers.to(memory_format=settings.memory_format)
        self.average = copy.deepcopy(towers)
        self.material = material
        self.settings = settings
        self.device = material.pictures.device
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.optimizer = _optimizer(towers, settings)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.size = min(settings.batch_size, len(material.learnt))
        self.an_epoch = max(1, len(material.learnt) // self.size)
        self.planned = max(1, round(settings.epochs * self.an_epoch))
        self.done, self.epochs = 0, 0
        self.losses: list[Tensor] = []
        self.kept, self.spent_s = kept, 0.0
        self.captions_of = material.corpus.captions.of_each(len(material.pictures))
        self.questions_of = material.corpus.questions.of_each(len(material.corpus.captions))
        self.twin_of = material.corpus.twins.of_each(len(material.corpus.captions))
        self.unseen_of = material.corpus.unseen.groups()
        self.relatives = _relatives(material, self.captions_of, settings.pool)
        state = kept.load()
        if state is not None:
            self._restore(state)
        self.started = time.monotonic()

    def share(self) -> float:
        """How much of the training is done, by steps or by the clock, in [0, 1]."""
        by_steps = self.done / self.planned
        if self.settings.minutes is None:
            return min(1.0, by_steps)
        return min(1.0, max(by_steps, self._elapsed_s / 60.0 / self.settings.minutes))

    def is_done(self) -> bool:
        """Whether it is over."""
        return self.share() >= 1.0

    def run_epoch(self) -> float:
        """As many steps as show each picture about once; the mean loss.

        An epoch that was cut off in its midst is brought to its end.
        """
        self.towers.train()
        while len(self.losses) < self.an_epoch and not self.is_done():
            self._step()
            if self.kept.is_due:
                self.kept.save(self._state())
        losses, self.losses = self.losses, []
        self.epochs += 1
        return float(torch.stack(losses).mean()) if losses else float("nan")

    def _step(self) -> None:
        factor = cosine(self.share(), self.settings.warm_up)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        loss = self._loss(self._draw())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.towers.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        # The first steps' weights are far off, so that the average forgets them sooner.
        decay = min(self.settings.average_decay, self.done / (9 + self.done))
        update_average(self.average, self.towers, decay)
        # As a number it would have to be waited for.
        self.losses.append(loss.detach())

    @property
    def _elapsed_s(self) -> float:
        """Seconds of training, those before it was cut off included."""
        return self.spent_s + time.monotonic() - self.started

    def _state(self) -> dict[str, Any]:
        return {
            "towers": self.towers.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_state(self.rng, self.device),
            "losses": self.losses,
            "progress": (self.done, self.epochs, self._elapsed_s),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.towers.load_state_dict(state["towers"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        set_random_state(state["random"], self.rng, self.device)
        self.losses = [loss.to(self.device) for loss in state["losses"]]
        self.done, self.epochs, self.spent_s = state["progress"]

    def _draw(self) -> Integers:
        """Different pictures, rows of `learnt`: families of look-alikes among any others."""
        order = self.rng.permutation(len(self.material.learnt))
        families = int(self.size * self.settings.alike * self.share()) // self.settings.relatives
        if families == 0:
            return order[: self.size]
        own = [
            np.concatenate([[seed], self.rng.permutation(self.relatives[seed])])[
                : self.settings.relatives
            ]
            for seed in order[:families]
        ]
        mixed = np.concatenate([*own, order[families:]])
        first = np.unique(mixed, return_index=True)[1]
        chosen: Integers = mixed[np.sort(first)][: self.size]
        # Groups of the reranker are neighbours: families stay whole, the rest is theirs to meet.
        return chosen

    def _loss(self, rows: Integers) -> Tensor:
        material, settings, towers = self.material, self.settings, self.towers
        numbers = material.learnt[rows]
        places = torch.from_numpy(numbers).to(self.device)
        pictures = material.pictures[places]
        named = material.stems[places]
        captions = self._captions(numbers)
        with half_where_fast(self.device):
            vectors = towers.vector(self._views(pictures, towers.shape.first_px)).float()
            patches = towers.patch(self._views(pictures, towers.shape.second_px))
        total = torch.zeros((), device=self.device)
        scale = towers.loss.scale()
        for number, own in enumerate(captions):
            texts, chosen = self._variant(own)
            ids, mask, stems = texts.padded(chosen, self.device)
            shown = self._drop_words(mask)
            found, tokens = self._texts(ids, shown)
            soft = soft_targets(
                material.caption_teacher[torch.from_numpy(own).to(self.device)].float(),
                settings.soft_share,
                settings.soft_temperature,
            )
            targets = matching_targets(stem_sets(stems, named.shape[1]), named, soft)
            false = self._twins(own) if number == 0 else None
            rivals = None if false is None else scale * false.vectors @ vectors.T
            similarities = scale * found @ vectors.T
            total = total + both_ways(similarities, targets, rivals) / len(captions)
            if number:
                continue
            words = _words(mask, shown)
            with half_where_fast(self.device):
                total = total + settings.reranker_weight * word_patch_loss(
                    towers.reranker,
                    tokens,
                    words,
                    patches,
                    targets,
                    group=settings.reranker_group,
                    hidden=settings.hidden_patches,
                )
            total = total + self._pair_losses(tokens, words, stems, patches, named, places, false)
        return total + self._text_losses()

    def _pair_losses(
        self,
        tokens: Tensor,
        words: Tensor,
        stems: Tensor,
        patches: Tensor,
        named: Tensor,
        places: Tensor,
        false: _Twins | None,
    ) -> Tensor:
        """The reranker on pairs: true against false twins, and where words look."""
        settings, network = self.settings, self.towers.reranker
        other = torch.roll(torch.arange(len(tokens), device=self.device), 1)
        with half_where_fast(self.device):
            scores, attention = network.score_pairs(tokens, words, patches)
            _, elsewhere = network.score_pairs(tokens, words, patches[other])
        counted = words & (stems >= 0)
        absent = absent_words(stems, named[other])
        told = self.material.well_told[places]
        # A word of its own caption is there; of another's, where the captions do not name it, not.
        total = looking_loss(
            attention,
            elsewhere,
            counted,
            counted & absent & told[other][:, None],
            stems,
            presence=settings.presence_weight,
            overlap=settings.overlap_weight,
        )
        if false is not None:
            with half_where_fast(self.device):
                wrong, _ = network.score_pairs(false.tokens, false.words, patches[false.rows])
            margin = F.softplus(wrong.float() - scores.float()[false.rows])
            total = total + settings.twin_weight * margin.mean()
        return total

    def _views(self, pictures: Tensor, side_px: int) -> Tensor:
        return random_views(pictures, side_px).contiguous(memory_format=self.settings.memory_format)

    def _texts(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        with half_where_fast(self.device):
            vectors, tokens = self.towers.text(ids, mask)
        return vectors.float(), tokens

    def _captions(self, numbers: Integers) -> list[Integers]:
        """Two captions of each picture, the same one twice where it has no other."""
        picked = [self.rng.permutation(self.captions_of[number])[:2] for number in numbers]
        return [np.array([own[k % len(own)] for own in picked]) for k in range(2)]

    def _variant(self, captions: Integers) -> tuple[Texts, Integers]:
        """All as captions, or some with slips, or some as short questions."""
        corpus, settings = self.material.corpus, self.settings
        draw = self.rng.random(len(captions))
        pieces: list[tuple[Texts, Integers]] = []
        rows = captions.copy()
        kinds = np.zeros(len(captions), np.int64)
        kinds[draw < settings.slips] = 1
        for place in np.flatnonzero(draw > 1.0 - settings.questions):
            own = self.questions_of[captions[place]]
            if len(own):
                rows[place], kinds[place] = own[self.rng.integers(len(own))], 2
        for kind, texts in enumerate((corpus.captions, corpus.slips, corpus.questions)):
            pieces.append((texts, np.flatnonzero(kinds == kind)))
        return _mixed(pieces, rows), np.arange(len(captions))

    def _twins(self, captions: Integers) -> _Twins | None:
        found = [
            (row, own[self.rng.integers(len(own))])
            for row, caption in enumerate(captions)
            if len(own := self.twin_of[caption])
        ]
        if not found or not self.settings.twin_weight:
            return None
        texts = np.array([twin for _, twin in found])
        ids, mask, _stems = self.material.corpus.twins.padded(texts, self.device)
        vectors, tokens = self._texts(ids, mask)
        rows = torch.tensor([row for row, _ in found], device=self.device)
        return _Twins(rows, vectors, tokens, _words(mask, mask))

    def _text_losses(self) -> Tensor:
        """The text tower alone: general English as it was, unseen captions by their pictures."""
        material, settings = self.material, self.settings
        some = self.rng.integers(len(material.corpus.general), size=settings.general_batch)
        ids, mask, _stems = material.corpus.general.padded(some, self.device)
        wanted = material.general_teacher[torch.from_numpy(some).to(self.device)].float()
        total = settings.general_weight * agreement_loss(self._texts(ids, mask)[0], wanted)
        if self.unseen_of and settings.unseen_weight:
            chosen = self.rng.integers(len(self.unseen_of), size=settings.general_batch)
            rows = np.concatenate([self.rng.permutation(self.unseen_of[i])[:2] for i in chosen])
            groups = np.repeat(chosen, [min(2, len(self.unseen_of[i])) for i in chosen])
            ids, mask, _stems = material.corpus.unseen.padded(rows, self.device)
            vectors, _ = self._texts(ids, self._drop_words(mask))
            logits = vectors @ vectors.T * self.towers.loss.scale()
            total = total + settings.unseen_weight * group_loss(
                logits, torch.from_numpy(groups).to(self.device)
            )
        return total

    def _drop_words(self, mask: Tensor) -> Tensor:
        """Hide a share of the words; the first token always stays."""
        kept = torch.rand(mask.shape, device=mask.device) >= self.settings.word_dropout
        kept[:, 0] = True
        return mask & kept


@dataclass(frozen=True)
class _Twins:
    """False twins of the texts in `rows` of a batch."""

    rows: Tensor
    vectors: Tensor
    tokens: Tensor
    words: Tensor


def without_marks(mask: Tensor) -> Tensor:
    """The mask, bool (n, L), less each text's first and last token, its marks."""
    inner = mask.clone()
    inner[:, 0] = False
    inner[torch.arange(len(mask), device=mask.device), mask.sum(dim=1) - 1] = False
    return inner


def _words(mask: Tensor, shown: Tensor) -> Tensor:
    """Words that are shown, bool (n, L); the second token stands in where there is none."""
    words = without_marks(mask) & shown
    words[~words.any(dim=1), min(1, mask.shape[1] - 1)] = True
    return words


def _mixed(pieces: list[tuple[Texts, Integers]], rows: Integers) -> Texts:
    """Texts in the order of `rows`, each drawn from the texts whose places name it."""
    ids: list[np.ndarray] = [np.empty(0)] * len(rows)
    stems: list[np.ndarray] = [np.empty(0)] * len(rows)
    for texts, places in pieces:
        for place in places:
            part = slice(texts.starts[rows[place]], texts.starts[rows[place] + 1])
            ids[place], stems[place] = texts.ids[part], texts.stems[part]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in ids])])
    return Texts(np.concatenate(ids), np.concatenate(stems), starts, rows)


def _relatives(material: Material, captions_of: list[Integers], pool: int) -> Integers:
    """For each picture that is learnt from, the others whose captions are nearest, as rows."""
    teacher = material.caption_teacher.float()
    means = torch.stack(
        [
            teacher[torch.from_numpy(captions_of[number]).to(teacher.device)].mean(dim=0)
            for number in material.learnt
        ]
    )
    means = F.normalize(means, dim=1)
    return nearest_others(means, pool)


def _optimizer(towers: Towers, settings: ContrastiveSettings) -> torch.optim.Optimizer:
    backbones = [*towers.vector.backbone.parameters(), *towers.patch.backbone.parameters()]
    text = list(towers.text.encoder.parameters())
    special = {id(parameter) for parameter in [*backbones, *text]}
    heads = [p for p in towers.parameters() if id(p) not in special]
    rates = (
        (heads, settings.head_rate),
        (backbones, settings.backbone_rate),
        (text, settings.text_rate),
    )
    groups = []
    for parameters, rate in rates:
        # Scales, shifts and biases are not pulled towards zero.
        wide = [p for p in parameters if p.ndim > 1]
        thin = [p for p in parameters if p.ndim <= 1]
        groups.append({"params": wide, "lr": rate, "weight_decay": settings.weight_decay})
        groups.append({"params": thin, "lr": rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))
