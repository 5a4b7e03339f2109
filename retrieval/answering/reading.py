"""What the built-in answerer has not learnt to read, asked in words that it has: denials, numbers.

"Is there no dog?" is asked as "is there any dog?", and the answer turned around; "are there three
dogs?" as "how many dogs are there?", whose answers say how likely three are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.answering.kinds import Kind, kind_of, plain

_SMALL = ("zero", "one", "two", "three", "four", "five", "six")
_LARGE = re.compile(
    r"\b(?:seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|dozens?|hundreds?|thousands?|millions?)\b"
)
_DIGITS = re.compile(r"-?\d+(?:[.,]\d+)*")
_CLOCK = re.compile(r"\bo'clock\b|\d ?[ap]\.?m\b|\d:\d\d")
_SEEN = (
    r"(?:(?:is|are|was|were) there|(?:do|can|could) (?:you|we) see"
    r"|(?:does|do) (?:it|this|the|these) (?:(?:picture|photo|image)s? )?(?:show|have|contain))"
)
_BOUND = r"(?:no )?(?:more|fewer|less) than|at least|at most|exactly|only|just"
_COUNTED = re.compile(
    rf"^{_SEEN} (?:any )?(?:(?P<bound>{_BOUND}) )?"
    rf"(?P<count>\d+|{'|'.join(_SMALL)}) (?P<what>.+)$"
)
_DENIED = re.compile(rf"^{_SEEN} (?:(?P<nobody>nobody|no[ -]one)\b|no\b) ?(?P<what>.*)$")
_NEGATIVE = re.compile(r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)\b|n't\b")


@dataclass(frozen=True)
class Reading:
    """How a question is asked.

    `kind` of the question. `text`: what is asked in its place, of the kind `asked`. `yes`: those
    answers to it that make a yes of the question's own; None where they stand as they are.
    """

    kind: Kind
    text: str
    asked: Kind
    yes: frozenset[str] | None = None


def read(question: str, counts: Sequence[str]) -> Reading | None:
    """How to ask a question; `counts` are the numbers that can be answered, from 0 on.

    None for one of no kind, for one that denies in another way than "is there no", and for a yes
    or no about a time or a number that is not among `counts`.
    """
    # "Isn't there a dog?" is answered as without the "not".
    text = re.sub(r"^(is|are)n't\b", r"\1", plain(question))
    kind = kind_of(text)
    if kind is None:
        return None
    if kind == "yes/no":
        return _read_yes_no(text, counts)
    if kind == "number" and _NEGATIVE.search(text):
        return None
    return Reading(kind, text, kind)


def _read_yes_no(text: str, counts: Sequence[str]) -> Reading | None:
    if _is_beyond(text, len(counts) - 1):
        return None
    counted = _COUNTED.match(text)
    # "Is there one dog?" is asked as of a dog.
    if counted is not None and (counted["bound"] or counted["count"] not in ("1", "one")):
        what = counted["what"]
        if _NEGATIVE.search(what) or _COUNTED.match(f"is there {what.removeprefix('or ')}"):
            return None
        yes = _within(counted["bound"] or "", _number(counted["count"]), counts)
        # More than the largest number fits none of them, and at most that fits all.
        asked = f"how many {what} are there"
        if not yes or len(yes) == len(counts) or kind_of(asked) != "number":
            return None
        return Reading("yes/no", asked, "number", yes)
    turned: frozenset[str] | None = None
    denied = _DENIED.match(text)
    if denied is not None:
        what = f"people {denied['what']}" if denied["nobody"] else denied["what"]
        text, turned = f"is there any {what.strip()}", frozenset({"no"})
    if _NEGATIVE.search(text) or kind_of(text) is None:
        return None
    return Reading("yes/no", text, "yes/no", turned)


def _is_beyond(text: str, most: int) -> bool:
    """Whether a number is in it that cannot be counted, or a time."""
    if _CLOCK.search(text) or _LARGE.search(text):
        return True
    return any(not one.isdecimal() or int(one) > most for one in _DIGITS.findall(text))


def _number(text: str) -> int:
    return _SMALL.index(text) if text in _SMALL else int(text)


def _within(bound: str, count: int, counts: Sequence[str]) -> frozenset[str]:
    """The answers that fit "more than 2" and its like; the number itself without a bound."""
    if bound in ("more than", "at least", "no fewer than", "no less than"):
        first = count + (bound == "more than")
        return frozenset(counts[first:])
    if bound in ("fewer than", "less than", "at most", "no more than"):
        last = count + (bound in ("at most", "no more than"))
        return frozenset(counts[:last])
    return frozenset(counts[count : count + 1])
