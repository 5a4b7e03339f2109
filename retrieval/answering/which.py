"""Questions about many pictures at once: "which of my beach photos has a dog?".

By rule, in English: what to search for, what to ask of each picture, and which answer is wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrieval.answering.kinds import plain

_WHICH = re.compile(
    r"^which (?:ones? )?(?:of )?(?:(?:my|the|our|all|these|those|your) )*"
    r"(?P<where>.*?)\s*\b(?:photo|picture|image|photograph|shot|pic)s?\b"
    r"(?P<of> (?:of|from|at|in|on) .+?)?"
    r" (?:(?P<has>has|have|shows?|contains?|do(?:es)?(?P<not>n't| not) (?:have|show|contain))"
    r"|(?:is|are|was|were)) "
    r"(?P<no>no |not |a lack of )?(?P<what>.+)$"
)
_WITH_ARTICLE = re.compile(r"^(?:an?|the|my|one|some|any|another|his|her)\b")
_MANY = re.compile(r"(?:[^s]s|people|men|women|children)\b(?! of\b)")
_AFTER_NOUN = re.compile(r" (?:in|on|at|with|of|near|by|under|behind|that|who|and|or)\b")
_UNCOUNTED = frozenset((
    "snow", "water", "food", "bread", "fruit", "grass", "sand", "ice", "rain", "fog", "smoke",
    "fire", "light", "text", "writing", "hair", "sunshine", "traffic", "furniture", "broccoli",
))  # fmt: skip
_PLACE = re.compile(r"^(?P<place>(?:at|in|on|near|by|from|inside|outside|indoors)\b.*)$")


@dataclass(frozen=True)
class Which:
    """What "which" asks.

    `search`: words that find the pictures in question. `question`: asked of each of them.
    `wanted`: the answer, yes or no, of those that are meant.
    """

    search: str
    question: str
    wanted: str


def read_which(question: str) -> Which | None:
    """The parts of a question that begins with "which of my photos"; None for any other."""
    found = _WHICH.match(plain(question))
    if found is None:
        return None
    is_denied = bool(found["no"] or found["not"])
    what = re.sub(r"^(?:any|taken) ", "", found["what"])
    parts = [found["where"], re.sub(r"^ (?:of|from) ", "", found["of"] or "").strip()]
    if not is_denied:
        parts.append(what)
    if found["no"]:
        what = _one(what)
    search = ", ".join(part for part in parts if part) or "a photo"
    return Which(search, _asked(what, bool(found["has"])), "no" if is_denied else "yes")


def _one(what: str) -> str:
    """Of "no cat" the "a cat" that is asked about where one is wanted, for the same answer."""
    noun = _AFTER_NOUN.split(what, maxsplit=1)[0].split()[-1]
    if _WITH_ARTICLE.match(what) or _MANY.search(noun) or noun in _UNCOUNTED:
        return what
    return f"{'an' if what[0] in 'aeio' else 'a'} {what}"


def _asked(what: str, is_had: bool) -> str:
    if not is_had:
        place = _PLACE.match(what)
        return f"was this taken {place['place']}?" if place else f"is it {what}?"
    if _WITH_ARTICLE.match(what):
        return f"is there {what}?"
    return f"are there any {what}?" if _MANY.search(what) else f"is there {what}?"
