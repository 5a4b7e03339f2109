"""How a server is to run: where, for whom, and within which limits."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import MmsearchError

DEFAULT_PORT = 8017
_FEWEST_LETTERS = 16


@dataclass(frozen=True)
class Limits:
    """What clients may take. Requests over the rates are answered with 429.

    `requests_a_s` is what one address may go on asking, after `burst` at once; `at_once` is how
    many requests of all clients are answered at the same time, `streams` how many event streams.
    """

    requests_a_s: float = 200.0
    burst: int = 2000
    at_once: int = 128
    streams: int = 32
    upload_bytes: int = 32 * 2**20
    upload_pixels: int = 100_000_000
    body_bytes: int = 2**20
    uploads: int = 64
    upload_s: float = 1800.0
    thumbnail_bytes: int = 2 * 2**30


@dataclass(frozen=True)
class ServeSettings:
    """Where a server listens, and what it asks of clients.

    `token`: what clients have to show, None where none is asked; needed on any `host` that others
    can reach. `names`: further names under which the server may be spoken to. `folders`: below
    which clients may have folders indexed; of no account where only this machine can reach the
    server, which may then have any. `trace`: send a span of each request to where OpenTelemetry's
    environment names.
    """

    index_dir: str | os.PathLike[str] | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    names: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    log_questions: bool = False
    trace: bool = False
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.token is None and not self.is_loopback:
            raise MmsearchError(
                f"Others can reach {self.host}: a token is needed there, in a file.",
                code="token-missing",
                host=self.host,
            )
        if self.token is not None and len(self.token) < _FEWEST_LETTERS:
            raise MmsearchError(f"A token has at least {_FEWEST_LETTERS} letters.")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def may_index(self, path: Path) -> bool:
        """Whether clients may have this folder or file indexed; links are followed first."""
        if self.is_loopback:
            return True
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)

    @property
    def own_names(self) -> frozenset[str]:
        """The names, in small letters, under which it may be spoken to."""
        own = {"localhost", "127.0.0.1", "::1", self.host.lower(), *map(str.lower, self.names)}
        return frozenset(own if self.is_loopback else own | {socket.gethostname().lower()})

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"


def read_token(path: Path) -> str:
    """The token in a file, without the white space around it. Raises MmsearchError."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MmsearchError(f"The token in {path} cannot be read ({error}).") from error
