"""One index as one thing: what belongs together is opened, locked and closed together.

The catalogue is the truth; vector store and patch tokens follow it; the encoder is the one that
made its vectors.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import Encoder, TextEncoder
from retrieval.encoders.bound import BoundEncoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import CatalogError, IndexMissingError, VectorStoreError
from retrieval.storage.catalog_url import CatalogUrl, remember_catalog_url
from retrieval.storage.closing import Closing
from retrieval.storage.index_dir import IndexDir, resolve_index_dir
from retrieval.storage.patch_token_inventory import TokenInventory, take_inventory
from retrieval.storage.patch_tokens import (
    PatchTokens,
    PatchTokenStore,
    discard,
    fingerprint_of,
)
from retrieval.vectors.base import VectorStore
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.registry import open_vector_store

if TYPE_CHECKING:
    from retrieval.catalog.catalog import Catalog

logger = logging.getLogger(__name__)


class Index(Closing):
    """The parts of one index. Reading is thread-safe; one process at a time may write.

    Attributes:
        dir: Where its files are.
        encoder: The one that made the vectors, loaded when it is first used; of an index that has
            none yet, the one that is to make them.
        was_cut_off: Whether the process that wrote last was ended in the middle.
    """

    def __init__(
        self,
        location: IndexDir,
        reader: QuickReader | None,
        catalog: Catalog | None,
        encoder: BoundEncoder,
        *,
        was_cut_off: bool = False,
    ) -> None:
        self.dir = location
        self._store: VectorStore | None = None
        self._store_address = ""
        self.encoder = encoder
        self.was_cut_off = was_cut_off
        self._reader = reader
        self._catalog = catalog
        self._tokens: PatchTokens | None = None

    @classmethod
    def open(
        cls,
        index_dir: str | os.PathLike[str] | None = None,
        *,
        encoder: Encoder | None = None,
        text_encoder: TextEncoder | None = None,
    ) -> Self:
        """Open the index in `index_dir`, by default the user's own, to ask it.

        `encoder` is for an encoder object of one's own; without it the one that made the index is
        loaded by its name. `text_encoder` is another text tower for its vectors. Raises
        IndexMissingError where nothing is indexed yet, CatalogError where the catalogue cannot be
        read, EncoderMismatchError or UnknownModelError when the encoder is used and is another.
        """
        location = resolve_index_dir(index_dir)
        reader = QuickReader.open(location.address)
        try:
            made_by = reader.encoder
            if made_by is None:
                raise IndexMissingError(
                    f"The index in {location.folder} is empty.", folder=location.folder
                )
            bound = BoundEncoder(made_by, given=encoder, texts=text_encoder)
        except BaseException:
            reader.close()
            raise
        return cls(location, reader, None, bound)

    @classmethod
    @contextmanager
    def writing(
        cls,
        index_dir: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        keep_format: bool = False,
        model: str | None = None,
        precision: str = "auto",
        encoder: Encoder | None = None,
        catalog: str | None = None,
        shared: bool = False,
    ) -> Iterator[Self]:
        """Be the one writer of an index for the length of the block.

        `catalog` is the address of a server's catalogue, which the folder remembers from then on.
        `shared`: others that share may write to it as well.

        A catalogue of an older version is brought to the present format unless it is to be kept.
        `create` makes an index that is missing, `model` names its encoder; `precision` and
        `encoder` are as `load_encoder` and `open` take them.

        Raises IndexMissingError where there is none, IndexBusyError while another process writes,
        CatalogError where the catalogue cannot be used, StorageError where the disk is full or
        fails, EncoderMismatchError where the model is not the one that made the index.
        """
        # Here, since a question does without SQLAlchemy.
        from retrieval.catalog.catalog import Catalog
        from retrieval.storage.writer_lock import writer_lock

        location = resolve_index_dir(index_dir)
        where = _address(location, catalog)
        if not create:
            # Before the lock, which would make the folder.
            Catalog.open(where).close()
        many_write = shared and isinstance(where, CatalogUrl)
        with nullcontext() if many_write else writer_lock(location) as lock:
            opened = (Catalog.create if create else Catalog.open)(where)
            with opened, opened.hold_writing(shared=many_write):
                if isinstance(where, CatalogUrl):
                    remember_catalog_url(location.catalog_url, where)
                was_cut_off = lock is not None and lock.was_cut_off
                if was_cut_off and create:
                    opened.require_sound()
                if not keep_format:
                    opened.upgrade()
                    _finish_move(location, opened)
                bound = BoundEncoder(
                    opened.encoder, model=model, precision=precision, given=encoder
                )
                index = cls(location, None, opened, bound, was_cut_off=was_cut_off)
                try:
                    yield index
                finally:
                    index.close_tokens()
                    index._close_store()

    def rebound(self, made_by: EmbeddingSpace) -> Self:
        """The same index, opened to ask, once its vectors are of another space."""
        bound = BoundEncoder(made_by, texts=None)
        again = type(self)(self.dir, self._reader, self._catalog, bound)
        again._store, again._store_address = self._store, self._store_address
        return again

    @property
    def vectors(self) -> VectorStore:
        """The vector store that the catalogue names, which follows the catalogue."""
        catalog = self._catalog if self._catalog is not None else self.reader
        choice = StoreChoice.of(catalog.vector_store)
        if self._store is None or choice.address != self._store_address:
            self._close_store()
            self._store = open_vector_store(choice, self.dir.folder)
            self._store_address = choice.address
        return self._store

    @property
    def reader(self) -> QuickReader:
        """The catalogue for asking; of an index that was opened to ask."""
        assert self._reader is not None
        return self._reader

    @property
    def catalog(self) -> Catalog:
        """The catalogue with all that can be read and written."""
        return self._catalog if self._catalog is not None else self.reader.full

    @property
    def patch_tokens(self) -> PatchTokens:
        """The patch tokens, opened when first needed; for a process that writes."""
        if self._tokens is None:
            made_by = self.catalog.encoder or self.encoder.space
            self._tokens = self.catalog.patch_tokens(made_by.fingerprint) or PatchTokenStore.open(
                self.dir.tokens, made_by.fingerprint
            )
        return self._tokens

    def next_patch_tokens(self, fingerprint: str) -> PatchTokens:
        """Those of the encoder that the index is moving to; to be closed by the caller."""
        return self.catalog.patch_tokens(fingerprint) or PatchTokenStore.open(
            self.dir.next_tokens, fingerprint
        )

    def server_tokens(self, fingerprint: str) -> PatchTokens | None:
        """An encoder's patch tokens where the catalogue is on a server; None for a file's."""
        return self.catalog.patch_tokens(fingerprint) if self.dir.catalog_url.exists() else None

    def token_inventory(self, fingerprint: str) -> TokenInventory:
        """Which pictures have patch tokens of an encoder."""
        tokens = self.catalog.patch_tokens(fingerprint)
        if tokens is not None:
            return tokens.inventory()
        return take_inventory(self.dir.tokens, fingerprint)

    def refresh_vectors(self, *, anew: bool = False) -> None:
        """Let the vector store show what the catalogue holds, made `anew` or brought up to date.

        One that is out of reach is said in a log line: it catches up when it is reached again.
        """
        try:
            if anew:
                self.vectors.rebuild(self.catalog)
                return
            facts = self.vectors.facts(self.catalog)
            # Asked here, so that a run that changes nothing does not load FAISS to find that out.
            if facts is None or facts.generation != self.catalog.generation:
                with _refreshing(self.dir) if self.catalog.is_on_server else nullcontext():
                    self.vectors.refresh(self.catalog)
        except VectorStoreError as error:
            logger.warning("%s What was indexed is kept, and reaches it with the next run.", error)

    def close_tokens(self) -> None:
        """Let go of the patch tokens."""
        if self._tokens is not None:
            self._tokens.close()
            self._tokens = None

    def close(self) -> None:
        """Let go of the index; of one that was opened to ask."""
        self.close_tokens()
        self._close_store()
        if self._reader is not None:
            self._reader.close()

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def take_next_tokens(location: IndexDir, catalog: Catalog) -> None:
    """Let the patch tokens of the encoder that the index has moved to stand for the former's."""
    made_by = catalog.encoder
    on_server = catalog.patch_tokens(made_by.fingerprint) if made_by is not None else None
    if on_server is not None:
        on_server.remove_others()
        return
    discard(location.tokens)
    if location.next_tokens.exists():
        location.next_tokens.replace(location.tokens)


def _address(location: IndexDir, catalog: str | None) -> Path | CatalogUrl:
    """Where the catalogue is; raises CatalogError where the folder knows of another one."""
    given = None if catalog is None else CatalogUrl.parse(catalog)
    known = location.address
    if given is None or given == known:
        return known
    if location.has_catalog:
        raise CatalogError(
            f"The index in {location.folder} has its catalogue elsewhere, in {known}.",
            code="catalog-elsewhere",
            folder=location.folder,
        )
    return given


@contextmanager
def _refreshing(location: IndexDir) -> Iterator[None]:
    """Be the one that writes the folder's vector index; waits for another that does."""
    # Here, since a question does without.
    from filelock import FileLock

    with FileLock(location.folder / "vectors.lock"):
        yield


def _finish_move(location: IndexDir, catalog: Catalog) -> None:
    """End a move to another encoder that was cut off just after the catalogue had moved."""
    if location.next_tokens.exists() and catalog.next_space is None:
        made_by = catalog.encoder
        if made_by and fingerprint_of(location.next_tokens) == made_by.fingerprint:
            take_next_tokens(location, catalog)
        else:
            discard(location.next_tokens)
