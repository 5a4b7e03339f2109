"""A smaller WordPiece vocabulary cut from a larger one, so that the text encoder stays small.

Keeps special tokens, every single character and the pieces that the given texts use most;
any other word still falls into pieces that were kept. The ids are numbered anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def wordpiece(tokens: Sequence[str], max_tokens: int) -> Tokenizer:
    """An uncased BERT tokenizer over these tokens, truncating at `max_tokens`."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def choose_tokens(
    tokenizer: Tokenizer, captions: Iterable[str], general: Iterable[str], size: int
) -> list[str]:
    """At most `size` tokens of `tokenizer`: those of captions first, then of general texts."""
    vocabulary = set(tokenizer.get_vocab())
    kept = dict.fromkeys(SPECIAL)
    kept.update(dict.fromkeys(sorted(token for token in vocabulary if _is_character(token))))
    for texts in (captions, general):
        for token, _ in count_tokens(tokenizer, texts).most_common():
            if len(kept) >= size:
                break
            kept.setdefault(token)
    return list(kept)


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each token occurs."""
    counts: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    return counts


def learn_tokens(texts: Iterable[str]) -> list[str]:
    """Whole words and single characters of the texts, for runs without a larger vocabulary."""
    words = Counter(word for text in texts for word in text.lower().split())
    characters = sorted({character for word in words for character in word})
    pieces = [f"##{character}" for character in characters]
    return list(dict.fromkeys([*SPECIAL, *characters, *pieces, *sorted(words)]))


def _is_character(token: str) -> bool:
    """Whether a token is one ASCII character, at the start of a word or within it."""
    bare = token.removeprefix("##")
    return len(bare) == 1 and bare.isascii()
