"""What to do about what the library names: a sentence and an exit code for each of its codes.

The library says what is wrong and knows no command; here it is said which command helps.
"""

from __future__ import annotations

from retrieval.errors import (
    CatalogError,
    EncoderMismatchError,
    IndexBusyError,
    IndexMissingError,
    LabelError,
    MmsearchError,
    QueryError,
    StorageError,
    UnknownModelError,
    VectorStoreError,
)

EXIT_CODES: dict[type[MmsearchError], int] = {
    IndexMissingError: 2,
    QueryError: 2,
    LabelError: 2,
    EncoderMismatchError: 3,
    UnknownModelError: 4,
    IndexBusyError: 5,
    CatalogError: 6,
    StorageError: 7,
    VectorStoreError: 8,
}

# By an error's code; a fact stands in braces.
OF_ERRORS = {
    "index-missing": "Make one with `mmsearch index FOLDER`, FOLDER being where your pictures are.",
    "index-denied": "Choose another with --index-dir.",
    "index-exists": "Give --force to keep it under another name and put the backup in its place.",
    "file-exists": "Name another file, or give --force.",
    "search-exists": "Give --replace before the name to replace it.",
    "no-search": "`mmsearch saved` lists them.",
    "not-indexed": "See `mmsearch status`.",
    "encoder-mismatch": (
        "Move the index with `mmsearch upgrade --model {model}`, or make another with "
        "`mmsearch --index-dir OTHER index FOLDER --model {model}`."
    ),
    "no-such-model": "`mmsearch models --all` lists them.",
    "no-reranker": "Train one with `mmsearch train-reranker`, or search with `--rerank off`.",
    "no-captioner": "Name one with --model, as blip.",
    "no-caption-scores": 'Install them with `pip install "mmsearch[captions]"`.',
    "sidecar": "Mend or move that file, or leave --xmp.",
    "reranker-mismatch": "`mmsearch train-reranker` does that.",
    "no-answerer": "Leave --answerer out, or give `--answerer blip`.",
    "question-kind": "`--answerer blip` takes any question.",
    "question-results": (
        'Name photographs, say which with --in-results TEXT, or ask "which of my … photos …?".'
    ),
    "no-tokens": "Train with `--model compact`.",
    "heads-alone": "Train heads for it, `--what heads`.",
    "output-exists": "Name another folder with --output.",
    "checkpoint": "Without --resume the training begins from the start.",
    "catalog-address": "Give it with --catalog, without quotes of its own.",
    "catalog-elsewhere": "Use another --index-dir for a catalogue on a server.",
    "catalog-password": "Put it in ~/.pgpass or in PGPASSWORD.",
    "catalog-unreachable": "See whether the server runs, and whether you may reach it.",
    "catalog-older": "`mmsearch index` brings it to the present one.",
    "catalog-newer": "Until then, use another --index-dir.",
    "catalog-damaged": "`mmsearch repair` saves what can be read.",
    "facts-unread": "Run `mmsearch index` once without a path, and it looks.",
    "token-missing": "Write one into a file and name it with --token-file.",
    "relevance-unknown": "Leave --relevant out; `--min-score` cuts off by the similarity.",
    "no-such-tag": "`mmsearch tag --list` lists them.",
    "no-cluster": "`ray status` shows it; without --distributed this machine encodes alone.",
    "model-unsaid": "Name it with --model, as `ViT-B/32` or as `mmsearch models` writes it.",
    "import-source": "`mmsearch import --help` says what is read.",
    "import-mismatch": "Name the model that made them with --model.",
    "model-forgotten": "Name it with `mmsearch repair --model NAME`.",
}

_FIX = "`mmsearch check --fix` mends that."

# By a finding's kind; what is not here is mended by `_FIX`.
OF_FINDINGS = {
    "damage": (
        "`mmsearch repair` saves what can be read; `mmsearch restore FILE --force` puts a backup "
        "in its place."
    ),
    "no-folder": "`mmsearch index FOLDER` adds those of a folder anew.",
    "missing": "`mmsearch index` looks where they are, and forgets those that are gone.",
    "changed": "`mmsearch index` reads them.",
    "altered": (
        "`mmsearch check --content --fix` marks them, and `mmsearch index` reads them then."
    ),
    "unreadable": "See to it that you may read them.",
}


def exit_code(error: MmsearchError) -> int:
    """The exit code of an error: its nearest class's, else 1."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


def in_words(error: MmsearchError) -> str:
    """What is wrong, and which command helps where one does."""
    remedy = OF_ERRORS.get(error.code)
    if remedy is None:
        return str(error)
    try:
        return f"{error} {remedy.format_map(error.facts)}"
    except KeyError:
        # An encoder of somebody else's may raise it with no facts.
        return str(error)


def of_finding(kind: str) -> str:
    """What to do about a check's finding."""
    return OF_FINDINGS.get(kind, _FIX)
