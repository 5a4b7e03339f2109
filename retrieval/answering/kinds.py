"""What sort of answer a question wants, told by its words.

By rule, in English: the built-in answerer chooses among the answers of one kind.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["yes/no", "number", "colour", "object", "place", "action"]
KINDS: tuple[Kind, ...] = ("yes/no", "number", "colour", "object", "place", "action")

_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("number", re.compile(r"\bhow many\b|\b(?:what|which)(?: is)? (?:the )?number of\b")),
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
# What is neither a thing nor a place nor what somebody does: no answer of any kind fits.
_UNSEEN = re.compile(
    r"\b(?:what|which)(?: is| are| was| were)?(?: the| this| that| his| her| its| their)? "
    r"(?:(?:time|weekday|day|date|year|month|week|hour|season|age|name|weather|temperature"
    r"|language|brand|breed|price|size)s?\b|numbers?\b(?! of\b))"
    r"|^what\b.*'s (?:name|age)\b|^what (?:do|does|did)\b.* (?:say|mean|cost|weigh)$"
)
# A question of these words and no other names nothing.
_EMPTY = re.compile(
    r"(?:(?:what|which|who|whom|where|how many|number of|colou?rs?|is|isn't|are|aren't|was|were|do"
    r"|does|did|has|have|can|could|will|any|an?|the|there|here|it|this|that|these|those|they|you|we"
    r"|see)\b\W*)+"
)
# Of a picture as a whole they are asked all the same.
_OF_THE_WHOLE = re.compile(
    r"(?:what|which|who|where|(?:what|which) colou?rs?) (?:(?:is|are|was|were) "
    r"(?:it|this|that|there|here|these|those|they)|(?:do|can|could) (?:you|we) see)(?: here)?"
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
    text = " ".join(question.lower().split()).replace("\u2019", "'")
    return re.sub(r"[\s?.!]+$", "", text.replace("what's", "what is"))


def kind_of(question: str) -> Kind | None:
    """What sort of answer a question wants.

    None where no rule tells, as for "why", where nothing is asked about, as by "how many?", and
    where no picture shows the answer, as to "what time is it?".
    """
    text = plain(question)
    if _UNSEEN.search(text) or (_EMPTY.fullmatch(text) and not _OF_THE_WHOLE.fullmatch(text)):
        return None
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
