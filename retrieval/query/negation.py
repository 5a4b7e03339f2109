"""What an English question says that it does not want: "a beach without people".

By rule, on the words alone: `without`, `with no`, `but no`, `but not`, `not`, `no` and `except`
take what follows, up to a comma or a word that goes on with something else; a dash takes one word.
"""

from __future__ import annotations

import re

from retrieval.query.language import has_foreign_words
from retrieval.query.query import Query

_ENDS = (
    r"(?=\s*(?:[,;.!?]|\band\s+with\b|\bwith\b|\bbut\b|\bon\b|\bin\b|\bat\b|\bnear\b|\bunder\b|$))"
)
_NEGATED = re.compile(
    r"\s*(?:\b(?:and|but)\s+)?"
    r"\b(?:without|with(?:out)?\s+no|with\s+not|no|not|except(?:\s+for)?)\s+"
    rf"(?:any\s+|a\s+|an\s+|the\s+)?(?P<what>[^,;.!?]+?){_ENDS}",
    re.IGNORECASE,
)
# "a dog -beach"; the dash of "t-shirt" has no space before it.
_MINUS = re.compile(r"(?:^|(?<=\s))-(?P<what>[^\W\d_][\w-]*)")
# "a beach without people and dogs" wants neither.
_BETWEEN = re.compile(
    r"\s*(?:,|\bor\b|\band\b|\bnor\b)\s*(?:no\s+|any\s+|a\s+|an\s+|the\s+)?", re.I
)
# A file's name is one, whatever words are in it.
_FILE_NAME = re.compile(r"\.[a-z]\w{1,4}\s*$", re.IGNORECASE)
# A "not" before these is no negation of a thing: "not far from", "not only".
_NO_THING = re.compile(r"^(?:far|only|yet|just|even|quite|much|many|so|too|very)\b", re.IGNORECASE)
# "No parking" is a thing to be seen.
_NOTICE = re.compile(
    r"\b(?:signs?|parking|smoking|entry|exit|trespassing|swimming|fishing|diving)\b", re.IGNORECASE
)
# What is wanted where only what is not wanted is said.
_ANYTHING = "a photo"


def read_negation(text: str) -> Query:
    """The question with what it does not want set apart; without a negation, as it is."""
    unwanted: list[str] = []

    def take(match: re.Match[str]) -> str:
        what = match["what"].strip()
        if _NO_THING.match(what):
            return match.group()
        unwanted.extend(part for part in _BETWEEN.split(what) if part)
        return ""

    if _FILE_NAME.search(text):
        return Query.of(text)
    rest = _MINUS.sub(take, _NEGATED.sub(take, text))
    rest = " ".join(rest.split()).strip(" ,;")
    # "no" is "in the" in Portuguese, and other things elsewhere.
    if not unwanted or has_foreign_words(text):
        return Query.of(text)
    if not rest and _NOTICE.search(text):
        return Query.of(text)
    query = Query.of(rest or _ANYTHING)
    for what in unwanted:
        query = query.minus(what)
    return query
