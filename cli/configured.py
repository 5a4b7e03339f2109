"""What commands that index make of the user's configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cli.config import ConfigError, current_config

if TYPE_CHECKING:
    from retrieval.catalog import Catalog
    from retrieval.storage.index_dir import IndexDir


def patterns(typed: Sequence[str]) -> tuple[str, ...]:
    """The file's patterns, then those that were typed: the last that matches decides.

    So that excluding one thing more for a run does not let in what is always excluded. Raises
    ConfigError where the file has what is no pattern.
    """
    from indexer.pipeline.exclude import check_patterns
    from retrieval.errors import MmsearchError

    config = current_config()
    try:
        check_patterns(config.exclude)
    except MmsearchError as error:
        raise ConfigError(f"{config.path}: in 'exclude', {error}") from error
    return (*config.exclude, *typed)


def model_of_new_index(typed: str | None, location: IndexDir) -> str | None:
    """The model that was typed, else the file's where the index has none yet."""
    config = current_config()
    if typed is not None or config.model is None:
        return typed
    return None if _has_encoder(location) else config.model


def folders(location: IndexDir) -> list[str]:
    """The folders to look at where none was typed: the index's own, else the file's."""
    return _roots(location) or list(current_config().folders)


def folders_to_begin_with(location: IndexDir) -> list[str]:
    """The file's folders where the index has none yet."""
    return [] if _roots(location) else list(current_config().folders)


def _roots(location: IndexDir) -> list[str]:
    with ExitStack() as stack:
        catalog = _catalog(location, stack)
        return [str(root.path) for root in catalog.roots()] if catalog is not None else []


def _has_encoder(location: IndexDir) -> bool:
    with ExitStack() as stack:
        catalog = _catalog(location, stack)
        return catalog is not None and catalog.encoder is not None


def _catalog(location: IndexDir, stack: ExitStack) -> Catalog | None:
    # Asked here, since a first run need not load the catalogue's modules to find none.
    if not location.has_catalog:
        return None
    from retrieval.catalog import Catalog
    from retrieval.errors import IndexMissingError

    try:
        return stack.enter_context(Catalog.open(location.address))
    except IndexMissingError:
        return None
