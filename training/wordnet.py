"""Words, glosses and examples of WordNet, as general text for the text encoder.

Flickr8k speaks of some 8,000 words; these texts keep the rest of English in place while the
encoder learns from photographs. Reads WordNet's `data.*` files (wndb(5)), nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_EXAMPLE = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Synset:
    """A meaning: its words, what it is, and sentences that use it."""

    part_of_speech: str
    lemmas: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]


def read_synsets(folder: Path) -> list[Synset]:
    """Every synset in `folder`, in file order; none if the folder is absent."""
    return [
        _parse(line, part)
        for part in PARTS_OF_SPEECH
        if (folder / f"data.{part}").exists()
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines()
        if not line.startswith("  ")
    ]


def texts(synsets: list[Synset]) -> list[str]:
    """Distinct texts: lemmas, nouns as captions, glosses with and without lemma, examples."""
    return list(dict.fromkeys(_texts(synsets)))


def _texts(synsets: list[Synset]) -> Iterator[str]:
    for synset in synsets:
        yield from synset.lemmas
        if synset.part_of_speech == "noun":
            yield from (f"a photo of a {lemma}" for lemma in synset.lemmas[:1])
        yield synset.gloss
        yield f"{synset.lemmas[0]}: {synset.gloss}"
        yield from synset.examples


def _parse(line: str, part_of_speech: str) -> Synset:
    fields, _, explanation = line.partition(" | ")
    columns = fields.split(" ")
    count = int(columns[3], 16)
    # Adjectives carry their position in brackets, as in "galore(ip)".
    words = (columns[4 + 2 * i].split("(")[0].replace("_", " ") for i in range(count))
    gloss = _EXAMPLE.sub("", explanation).strip(" ;\n")
    return Synset(
        part_of_speech,
        tuple(words),
        re.sub(r"(;\s*)+", "; ", gloss),
        tuple(_EXAMPLE.findall(explanation)),
    )
