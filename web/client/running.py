"""The server of an index that runs on this machine, if there is one."""

from __future__ import annotations

from importlib.metadata import version

from retrieval.storage.index_dir import IndexDir
from web.announcement import find_announcement
from web.client.client import Client
from web.client.plain import PlainHttp

# One on this machine that does not say within that time who it is has too much to do.
_ALIVE_WITHIN_S = 2.0
_TIMEOUT_S = 120.0


def running_client(location: IndexDir) -> Client | None:
    """A client, for one thread, of the server that was announced, None unless it is alive.

    It has to be the same one, and of the same version of mmsearch.
    """
    announced = find_announcement(location)
    if announced is None:
        return None
    http = PlainHttp(announced.address, announced.token, _ALIVE_WITHIN_S)
    try:
        told = http.request("GET", "/healthz").json()
        is_it = told == {"instance": announced.instance, "version": version("mmsearch")}
    except (OSError, ValueError):
        return None
    finally:
        http.close()
    if not is_it:
        return None
    patient = PlainHttp(announced.address, announced.token, _TIMEOUT_S)
    return Client(announced.address, http=patient)
