"""What sort of answer a question wants, told by its words.

By rule, in English: the built-in answerer chooses among the answers of one kind.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["yes/no", "number", "colour", "object", "place", "action"]
KINDS: tuple[Kind, ...] = ("yes/no", "number", "colour", "object", "place", "action")

_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("number", re.compile(r"\bhow many\b|\b(?:what|which)(?: is)? (?:the )?number\b")),
    ("colour", re.compile(r"\b(?:what|which)\b.*\bcolou?rs?\b")),
    (
        "place",
        re.compile(r"\bwhere\b|\b(?:what|which) (?:(?:kind|sort|type) of )?(?:place|room)\b"),
    ),
    (
        "action",
        re.compile(
            r"\bwhat\b.*\bdoing\b|^what (?:do|does) (?!you|it|they).* do$"
            r"|\bwhat (?:is going on|happens|is happening)\b"
        ),
    ),
    ("object", re.compile(r"^(?:on |in |with |to )?(?:what|who|whom|which)\b")),
    (
        "yes/no",
        re.compile(
            r"^(?:is|isn't|are|aren't|was|were|do|does|did|has|have|can|could|any|will|an?)\b"
        ),
    ),
)
# What stands around that which a question is about.
_BEFORE = re.compile(
    r"^(?:how many|(?:what|which) colou?rs? (?:is|are|has|have)|where (?:is|are|was|were)|"
    r"what (?:is|are)|who (?:is|are)|what|which|who|"
    r"(?:is|are|was|were) there(?: any)?|(?:is|are|was|were) (?:it|this|that|these|they)|"
    r"(?:do|can|could) (?:you|we) see(?: any)?|"
    r"(?:does|do) (?:it|this|the|these) (?:(?:picture|photo|image)s? )?"
    r"(?:show|have|contain)(?: any)?|"
    r"is|are|was|were|do|does|did|has|have|can|could|any)\s+"
)
_AFTER = re.compile(
    r"\s+(?:(?:there|here|(?:do|can)? ?(?:you|we) see|visible|shown|seen|doing)"
    r"|(?:are|is|was|were|do|does|can)"
    r"|(?:in|on) (?:the|this|that) (?:picture|photo|photograph|image))$"
)


def plain(question: str) -> str:
    """The question in lower case, with single spaces, without the marks at its end."""
    return re.sub(r"[\s?.!]+$", "", " ".join(question.lower().split()).replace("what's", "what is"))


def kind_of(question: str) -> Kind | None:
    """What sort of answer a question wants; None where no rule tells, as for "why"."""
    text = plain(question)
    return next((kind for kind, rule in _RULES if rule.search(text)), None)


def subject_of(question: str) -> str:
    """What a question is about, as a caption would say it: "a dog" of "Is there a dog?".

    The question itself where nothing else is left of it.
    """
    text = plain(question)
    subject = _BEFORE.sub("", text, count=1)
    while (shorter := _AFTER.sub("", f" {subject}").strip()) != subject:
        subject = shorter
    return subject or text
