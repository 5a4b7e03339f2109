"""A server run until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import uvicorn

from retrieval.errors import MmsearchError
from web.announcement import Announcement, announce, withdraw
from web.app import create_app
from web.service import Service
from web.settings import ServeSettings

_STOP_WITHIN_S = 5


class _Server(uvicorn.Server):
    """A server that tells its streams to end when it is told to."""

    def __init__(self, config: uvicorn.Config, service: Service, when_ready: Callable[[], None]):
        super().__init__(config)
        self._service = service
        self._when_ready = when_ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On Ctrl-C and SIGTERM."""
        self._service.closing.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more; here, since the signal that ends the server ends the process after it."""
        withdraw(self._service.location, self._service.instance)
        await super().shutdown(sockets)


def serve(settings: ServeSettings, when_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are being answered may end first.

    `when_ready` is told the address once there are answers.

    Raises MmsearchError where the port cannot be had.
    """
    listening = _listen(settings)
    # Port 0 stands for any that is free.
    settings = replace(settings, port=listening.getsockname()[1])
    service = Service(settings)
    config = uvicorn.Config(
        create_app(settings, service),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        # A person's browser opens few; beyond that, others wait in the kernel.
        backlog=256,
    )

    def ready() -> None:
        announced = Announcement(settings.address, settings.token, service.instance)
        announce(service.location, announced)
        when_ready(settings.address)

    try:
        _Server(config, service, ready).run(sockets=[listening])
    except KeyboardInterrupt:
        # uvicorn raises the signal again once all has ended.
        pass
    finally:
        service.close()
        listening.close()


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Where the protocol is not named, asyncio lets small pieces wait for each other (Nagle's
    # algorithm), and every answer for forty milliseconds.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise MmsearchError(
            f"{settings.host} port {settings.port} cannot be listened on ({error.strerror}): "
            "choose another port."
        ) from error
    return listening
