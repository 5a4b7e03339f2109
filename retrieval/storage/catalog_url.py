"""Where a catalogue is that lies on a server: its address, which is kept, and its password, which
is not.

An index folder remembers the address in a file. The password comes from `~/.pgpass`, from
PGPASSWORD, or from the address that this process was given; it is never written, printed or logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlunsplit

from retrieval.errors import CatalogError
from retrieval.storage.address_secrets import part_secrets

SCHEME = "postgresql+psycopg"
_SCHEMES = frozenset({SCHEME, "postgresql", "postgres"})
_SECRETS = frozenset({"password", "sslpassword"})
# What this process was told, by address: the folder that remembers the address does not know it.
_told: dict[str, str] = {}


@dataclass(frozen=True)
class CatalogUrl:
    """A catalogue's address on a server. `text` is without the password, for files and messages."""

    text: str
    password: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, address: str) -> Self:
        """Take `postgresql+psycopg://user@host/database` apart; keeps its password in memory.

        Raises CatalogError, which does not repeat the address, where it is none.
        """
        try:
            parts = part_secrets(address, _SECRETS, told_by={"password"})
        except ValueError as error:
            # Not from the error, which may quote the address.
            del error
            raise _no_address() from None
        if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
            raise _no_address()
        text = urlunsplit((SCHEME, parts.host, parts.path, parts.query, ""))
        if parts.secret:
            _told[text] = parts.secret
        return cls(text, _told.get(text))

    def __str__(self) -> str:
        return self.text


def read_catalog_url(file: Path) -> CatalogUrl | None:
    """The address that a file remembers; None where there is no such file."""
    try:
        return CatalogUrl.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file} cannot be read: it says where the catalogue is.") from error


def remember_catalog_url(file: Path, url: CatalogUrl) -> None:
    """Have a file say where the catalogue is, without the password."""
    if read_catalog_url(file) != url:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".tmp")
        fresh.write_text(f"{url.text}\n", encoding="utf-8")
        fresh.replace(file)


def _no_address() -> CatalogError:
    return CatalogError(
        f"The catalogue's address must be like {SCHEME}://user@host/database.",
        code="catalog-address",
    )
