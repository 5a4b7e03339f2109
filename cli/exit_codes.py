"""Exit codes that more than one place returns; `cli.main` explains all of them."""

INTERRUPTED = 130
NOTHING_FOUND = 1
NOTHING_BETTER = 1
