"""What a question's words say of names, folders, titles, captions and keywords.

The second source of candidates beside the vectors. A word counts by how rare it is among the items
(Robertson and Spärck Jones, Relevance weighting of search terms, JASIS 1976); how often it stands
in one item does not count, since a caption repeats nothing. A question that is a file's name, or a
part of one that no word of language looks like, puts the file first.

How much the words count beside the vector was measured, see `benchmarks/hybrid.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.full_text import FullText
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import Vectors
from retrieval.errors import CatalogError
from retrieval.search.question import Question
from retrieval.vectors.base import Ids, VectorIndex

# What a picture gains that has all of the question's words, in standard deviations of the
# question's cosine to any picture, since models differ in how far apart theirs lie; and what it
# gains besides if no other has them all. A word that was written to one picture is often a name
# that no model has seen, and nothing looks more alike by chance than four deviations.
_OF_ALL, _OF_RARE = 1.3, 4.0
# What it gains if a model's caption of it has them all: less, since a model errs, and sees what the
# vector shows already. Beside vectors it gains that only where a question has so few words, since
# a sentence is better told by its vector.
_OF_DESCRIBED = 0.3
_FEW_WORDS = 3
# Of the pictures with words of the question, so many of the most alike are weighed, and so many
# of those with the most words.
_MOST_ALIKE, _MOST_WORDS = 500, 200
# A word that so many items have tells them apart no more, and is looked at no further.
_COMMON = 10_000
# So many files of one name, or with the same part in it, are told apart by the vectors.
_NAMES = 1_000
_SHORTEST_PART = 3
# By how the name of a file is asked for.
WHOLE_NAME, PART_OF_NAME, NO_NAME = 2, 1, 0
_STOP_WORDS = """
    a an the this that these those some any my our your his her its their it he she they we i you
    of on in at to for from with without by near next under over above below behind beside between
    into onto out up down off and or not no is are was were be being been has have there which who
    what where when while as than very one
    photo photos photograph picture pictures image images showing shows
"""
_IS_STOP_WORD = frozenset(_STOP_WORDS.split()).__contains__
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"[{_HAN}]+|[\u3040-\u309f]+|[\u30a0-\u30ff]+|[^{_HAN}\u3040-\u30ff]+")
_FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}$")


@dataclass(frozen=True)
class WordMatches:
    """Items whose words a question has.

    `ids` int64 (n,) ascending; `scores` float32 (n,), what their words add, in standard deviations
    of the question's cosine or, after `in_cosines`, as they add to one; `by_name` int8 (n,),
    WHOLE_NAME, PART_OF_NAME or NO_NAME.
    """

    ids: Ids
    scores: NDArray[np.float32]
    by_name: NDArray[np.int8]

    def in_cosines(self, spread: float) -> WordMatches:
        """With scores as they add to cosines whose standard deviation is `spread`."""
        return WordMatches(self.ids, self.scores * np.float32(spread), self.by_name)

    def best(self, n: int) -> Ids:
        """The ids of the best n, the best first."""
        order = np.lexsort((self.ids, -self.scores, -self.by_name))
        return self.ids[order[:n]]

    def order(self, ids: Ids, cosines: NDArray[np.float32]) -> NDArray[np.int64]:
        """What sorts candidates, (n,), the best first: by name, then by cosine and words."""
        added, by_name = self.of(ids)
        return np.lexsort((-(cosines + added), -by_name))

    def of(self, ids: Sequence[int] | Ids) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Scores and kinds of name, (n,) each, of these items; zero for what has no such word."""
        asked = np.asarray(ids, dtype=np.int64)
        scores, by_name = np.zeros(len(asked)), np.zeros(len(asked), dtype=np.int8)
        if len(self.ids) and len(asked):
            place = np.minimum(np.searchsorted(self.ids, asked), len(self.ids) - 1)
            is_there = self.ids[place] == asked
            scores[is_there] = self.scores[place[is_there]]
            by_name[is_there] = self.by_name[place[is_there]]
        return scores, by_name


NO_MATCHES = WordMatches(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int8))


def join_words(
    question: Question,
    vector: Vectors,
    count: int,
    nearest: tuple[NDArray[np.float32], Ids],
    index: VectorIndex,
    reader: QuickReader,
) -> tuple[NDArray[np.float32], Ids, WordMatches]:
    """A question's `count` best candidates by vectors and by words, and what words add to each.

    `vector` (1, dim) is the question's, `nearest` the cosines and ids of the pictures nearest to
    it. Returns cosines, ids, and the matches. Raises CatalogError where there are only words to go
    by, and the catalogue does not know them yet.
    """
    words = question.query.words
    is_fused = question.fusion == "rrf" and len(question.query.wanted) > 1
    if words is None or question.match == "pictures" or (is_fused and question.match == "both"):
        return *nearest, NO_MATCHES
    full_text = reader.full_text
    if question.match == "words" and not full_text.is_there:
        raise CatalogError(
            "This index does not know yet of its pictures: words.",
            code="facts-unread",
            fact="words",
        )
    found = match_words(full_text, words, question.only, with_common=question.match == "words")
    if not len(found.ids):
        return *nearest, found
    sample = reader.vectors(full_text.sample())
    shown = np.array(list(sample.values()), dtype=np.float32).reshape(-1, vector.shape[1])
    found = found.in_cosines(float((shown @ vector[0]).std()) if len(shown) else 0.0)
    cosines, ids = _with_words(found, vector, nearest, index, reader)
    best = found.order(ids, cosines)[:count]
    return cosines[best], ids[best], found


def match_words(
    index: FullText, question: str, only: Ids | None = None, *, with_common: bool = False
) -> WordMatches:
    """The items that have words of the question, kept to the ids of `only` where given.

    `with_common`: words that many items have find some of these as well, and the words of captions
    by models count in every question; beside vectors, in those of three words at most.
    """
    if not index.is_there:
        return NO_MATCHES
    size, named = max(index.size(), 1), _by_name(index, question)
    words = words_of(question)
    found, rarities = [], []
    for word in words:
        ids = index.ids_with(word, _COMMON + 1)
        rarities.append(math.log((size + 1) / (len(ids) + 0.5)))
        found.append(ids if len(ids) <= _COMMON or with_common else ids[:0])
    whole = sum(rarities) or 1.0
    ids = np.unique(np.concatenate([np.fromiter(named, np.int64, len(named)), *found]))
    if only is not None:
        ids = _kept_to(ids, only)
    share = np.zeros(len(ids), np.float32)
    for having, rarity in zip(found, rarities, strict=True):
        share += np.float32(rarity / whole) * np.isin(ids, having, assume_unique=True)
    has_all = share > 1 - 1e-3
    # 1 for the only picture with all of the words, 0 where every picture has them.
    rarity = 1 - math.log(max(int(has_all.sum()), 1)) / math.log(max(size, 2))
    scores = (_OF_ALL * share + _OF_RARE * rarity**2 * has_all).astype(np.float32)
    by_name = np.array([named.get(id_, NO_NAME) for id_ in ids.tolist()], dtype=np.int8)
    written = WordMatches(ids, scores, by_name)
    if with_common or len(words) <= _FEW_WORDS:
        return _joined(written, match_captions(index, question, only))
    return written


def match_captions(index: FullText, question: str, only: Ids | None = None) -> WordMatches:
    """The items of which models say words of the question, kept to the ids of `only` where given.

    A word counts by how few items it is said of.
    """
    if not index.has_captions:
        return NO_MATCHES
    size, found, rarities = max(index.size(), 1), [], []
    for word in words_of(question):
        ids = index.ids_described_with(word, _COMMON + 1)
        rarities.append(math.log((size + 1) / (len(ids) + 0.5)))
        found.append(ids if len(ids) <= _COMMON else ids[:0])
    whole = sum(rarities) or 1.0
    ids = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
    if only is not None:
        ids = _kept_to(ids, only)
    scores = np.zeros(len(ids), np.float32)
    for having, rarity in zip(found, rarities, strict=True):
        share = np.float32(_OF_DESCRIBED * rarity / whole)
        scores += share * np.isin(ids, having, assume_unique=True)
    return WordMatches(ids, scores, np.full(len(ids), NO_NAME, np.int8))


def _kept_to(ids: Ids, only: Ids) -> Ids:
    """Those of a few ids that are among many, both ascending."""
    if not len(ids) or not len(only):
        return ids[:0]
    places = np.minimum(np.searchsorted(only, ids), len(only) - 1)
    kept: Ids = ids[only[places] == ids]
    return kept


def _joined(written: WordMatches, described: WordMatches) -> WordMatches:
    """What was written and what models say, added up."""
    if not len(described.ids):
        return written
    ids = np.union1d(written.ids, described.ids)
    first, by_name = written.of(ids)
    second, _ = described.of(ids)
    return WordMatches(ids, (first + second).astype(np.float32), by_name)


def words_of(question: str) -> list[str]:
    """The words that a question is about, each once, in their order."""
    words: dict[str, None] = {}
    for word in re.split(r"[\s/\\,;:!?()\[\]\"]+", question):
        bare = word.strip(".'-_")
        if _IS_STOP_WORD(bare.lower()) or (len(bare) < 2 and bare.isascii()):
            continue
        words |= dict.fromkeys(_pieces(bare))
    return list(words)


def lifted(scores: NDArray[np.float64], by_name: NDArray[np.int8]) -> NDArray[np.float64]:
    """Scores with those of files that were asked for by name above all others, by one or more."""
    scores = scores.copy()
    for kind in (PART_OF_NAME, WHOLE_NAME):
        is_named = by_name == kind
        if is_named.any():
            rest = scores[by_name < kind]
            gap = rest.max() - scores[is_named].min() if len(rest) else 0.0
            scores[is_named] += max(1.0, gap + 1e-3)
    return scores


def _with_words(
    found: WordMatches,
    vector: Vectors,
    nearest: tuple[NDArray[np.float32], Ids],
    index: VectorIndex,
    reader: QuickReader,
) -> tuple[NDArray[np.float32], Ids]:
    """Cosines and ids of the nearest pictures and of those with words, in no order."""
    alike, of_words = index.search(vector, min(len(found.ids), _MOST_ALIKE), within=found.ids)
    known = dict(zip(of_words[0].tolist(), alike[0].tolist(), strict=True))
    known |= dict(zip(nearest[1].tolist(), nearest[0].tolist(), strict=True))
    known.pop(-1, None)
    lacking = [id_ for id_ in found.best(_MOST_WORDS).tolist() if id_ not in known]
    for id_, stored in reader.vectors(lacking).items():
        known[id_] = float(stored.astype(np.float32) @ vector[0])
    return (
        np.fromiter(known.values(), np.float32, len(known)),
        np.fromiter(known, np.int64, len(known)),
    )


def _pieces(word: str) -> list[str]:
    """A word as it can be looked for: Chinese and Japanese have no spaces between words."""
    pieces = []
    for run in _RUNS.findall(word):
        if re.match("[\u3040-\u309f]", run):
            # Short runs of hiragana are particles and endings.
            pieces += [run] if len(run) > 2 else []
        elif re.match(f"[{_HAN}]", run) and len(run) > 2:
            pieces += [run[start : start + 2] for start in range(len(run) - 1)]
        else:
            pieces.append(run)
    return pieces


def _by_name(index: FullText, question: str) -> dict[int, int]:
    """The files that are asked for by name, by item id, with how."""
    asked = PurePath(question.replace("\\", "/")).name.strip()
    if not asked:
        return {}
    found = {
        id_: WHOLE_NAME
        for id_, name in index.names_with_words(asked, _NAMES).items()
        if asked.lower() in (name.lower(), PurePath(name).stem.lower())
    }
    if _looks_like_a_name(asked):
        parts = index.names_with_words(asked, _NAMES)
        if len(asked) >= _SHORTEST_PART:
            parts |= index.names_with_part(asked, _NAMES)
        found = dict.fromkeys(parts, PART_OF_NAME) | found
    return found


def _looks_like_a_name(text: str) -> bool:
    """Whether nobody would describe a picture so: one word, with digits, _ or a file's suffix."""
    is_one_word = not any(letter.isspace() for letter in text)
    has_signs = any(letter.isdigit() or letter == "_" for letter in text)
    return is_one_word and (has_signs or _FILE_SUFFIX.search(text) is not None)
