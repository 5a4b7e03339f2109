"""What one server holds: the engine on its index, pictures, uploads, and the indexer at work."""

from __future__ import annotations

import secrets
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from retrieval.errors import MmsearchError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.search.engine import SearchEngine
from retrieval.storage.closing import Closing
from retrieval.storage.index_dir import resolve_index_dir
from web.arrangements import Arrangements
from web.batching import QuestionQueue
from web.copies import Copies
from web.indexing import IndexingJobs
from web.pictures import Pictures
from web.settings import ServeSettings
from web.thumbnails import Thumbnails
from web.uploads import Uploads

if TYPE_CHECKING:
    from web.metrics import Metrics


class Service(Closing):
    """Shared by all requests. Thread-safe.

    `instance` tells this server from others, and from what it was before it was started anew.
    `closing` is set once the server is to end, so that streams end by themselves.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.location = resolve_index_dir(settings.index_dir)
        self.instance = secrets.token_hex(16)
        self.closing = threading.Event()
        self.decoders = DecoderPool()
        limits = settings.limits
        self.uploads = Uploads(self.decoders, limits.uploads, limits.upload_s, limits.upload_pixels)
        self.indexing = IndexingJobs(self.location.folder)
        self.questions = QuestionQueue()
        self.copies = Copies()
        self.arrangements = Arrangements()
        self.pictures = Pictures()
        self.thumbnails = Thumbnails(
            self.location.folder / "thumbnails", self.decoders, limits.thumbnail_bytes
        )
        self.metrics = _metrics(self)
        self._engine: SearchEngine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> SearchEngine:
        """The engine, opened when there is an index; raises IndexMissingError until then."""
        with self._lock:
            if self.closing.is_set():
                raise MmsearchError("The server is ending.", code="busy")
            if self._engine is None:
                self._engine = SearchEngine.open(self.location.folder)
            return self._engine

    def close(self) -> None:
        """Stop the indexer between two batches, and let go of everything."""
        self.closing.set()
        self.indexing.close()
        self.questions.close()
        self.copies.close()
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
        self.decoders.close()


def _metrics(service: Service) -> Metrics | None:
    """What is counted, where the package for it is there."""
    if find_spec("prometheus_client") is None:
        return None
    from web.metrics import Metrics

    return Metrics(service)
