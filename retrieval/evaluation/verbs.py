"""Verbs of captions in their forms, and which of them say the same."""

from __future__ import annotations

_VERBS = (
    "run", "walk", "jump", "swim", "sit", "stand", "play", "sleep", "ride", "eat", "drink", "climb",
    "ski", "skateboard", "snowboard", "surf", "fly", "dance", "talk", "smile", "throw", "catch",
    "hold", "carry", "look", "read", "cook", "drive", "push", "pull", "swing", "slide", "pose",
    "crawl", "chase", "fight", "kick", "dig", "bite", "splash", "fish", "hike", "skate", "race",
    "wait", "work", "hug", "kiss", "cross", "sing", "graze", "lie", "fall", "wave", "laugh", "bark",
)  # fmt: skip
_SAME = {
    "lay": "lie", "leap": "jump", "stare": "look", "gaze": "look", "watch": "look", "jog": "run",
    "stroll": "walk", "speak": "talk", "toss": "throw", "chew": "eat", "relax": "sit",
    "wrestle": "fight", "grin": "smile", "rest": "lie",
}  # fmt: skip
_DOUBLED = frozenset(("run", "swim", "sit", "dig", "hug", "jog", "grin"))
# What is done with a thing that one may ask for: what is the man riding?
_WITH_A_THING = (
    "ride", "hold", "throw", "catch", "carry", "play", "eat", "push", "pull", "read", "drive",
    "kick", "chase", "drink", "climb",
)  # fmt: skip


def _gerund(verb: str) -> str:
    if verb in ("lie", "lay"):
        return {"lie": "lying", "lay": "laying"}[verb]
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    return (verb[:-1] if verb.endswith("e") else verb) + "ing"


def _third(verb: str) -> str:
    if verb.endswith(("ch", "sh", "ss", "x")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


# From the two forms that captions have, "runs" and "running", to the one that answers have.
DEEDS = {
    form: _gerund(_SAME.get(verb, verb))
    for verb in (*_VERBS, *_SAME)
    for form in (_gerund(verb), _third(verb))
}
USES = {form: _gerund(verb) for verb in _WITH_A_THING for form in (_gerund(verb), _third(verb))}
