"""Serving: take a port, say where, serve until told to end, and end without leaving a stream hanging."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from coldframe.errors import ServeError, SettingsError
from coldframe.explore.app import create_app
from coldframe.explore.library import Library
from coldframe.explore.settings import ExploreSettings

logger = logging.getLogger("coldframe")

#: How long open connections may take to end, seconds; streams end by themselves at once.
GRACE_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where the explorer answers."""

    url: str
    port: int


class Explorer(uvicorn.Server):
    """The explorer on a port of its own; `run` serves until a signal or `end`."""

    def __init__(self, settings: ExploreSettings) -> None:
        self.socket = _bind(settings.host, settings.port)
        port = int(self.socket.getsockname()[1])
        token = None if settings.loopback else secrets.token_urlsafe(24)
        app = create_app(Path(settings.runs), token=token, cookie=f"coldframe_{port}", host=settings.host)
        self.library: Library = app.state.library
        host = _reachable(settings.host)
        self.ready = Ready(url=f"http://{host}:{port}/" + (f"?token={token}" if token else ""), port=port)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=30,
                lifespan="off",
                server_header=False,
                date_header=False,
                ws="none",
            )
        )

    def end(self) -> None:
        """Ask the server to end; callable from the loop's own thread."""
        self.library.closing.set()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on Ctrl-C and SIGTERM, without raising them anew afterwards: being told to end is no failure."""
        loop = asyncio.get_running_loop()
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.end)
        except (RuntimeError, ValueError):  # not the main thread: whoever started it ends it
            yield
            return
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def run_until_told(self, announce: Callable[[Ready], None]) -> None:
        """Serve; `announce` is called once connections are answered."""

        async def main() -> None:
            serving = asyncio.create_task(self.serve(sockets=[self.socket]))
            while not self.started and not serving.done():
                await asyncio.sleep(0.005)
            if self.started:
                announce(self.ready)
            await serving

        try:
            asyncio.run(main())
        finally:
            self.socket.close()
            self.library.close()


def serve(settings: ExploreSettings) -> Ready:
    """Serve the explorer until Ctrl-C or SIGTERM.

    Raises:
        SettingsError: for a number that is no port.
        ServeError: when the address or the port cannot be had.
    """
    explorer = Explorer(settings)

    def announce(ready: Ready) -> None:
        if settings.json:
            sys.stdout.write(json.dumps({"url": ready.url, "port": ready.port}) + "\n")
        elif not settings.quiet:
            where = Path(settings.runs).absolute()
            sys.stdout.write(f"explorer at {ready.url}  (runs in {where}; Ctrl-C ends it, training goes on)\n")
        sys.stdout.flush()

    explorer.run_until_told(announce)
    return explorer.ready


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OverflowError as error:
        listener.close()
        raise SettingsError(
            f"the explorer's port cannot be {port}", advice="ports go from 0 (any free one) to 65535"
        ) from error
    except OSError as error:
        listener.close()
        raise _bind_error(host, port, error) from error
    listener.setblocking(False)
    return listener


def _bind_error(host: str, port: int, error: OSError) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        return ServeError(
            f"port {port} on {host} is in use, perhaps by another explorer",
            advice="open that one, or take another port: --port 0 finds a free one",
        )
    if error.errno == errno.EACCES:
        return ServeError(f"port {port} on {host} is not allowed", advice="choose a port above 1023")
    return ServeError(
        f"cannot listen on {host!r}: {error.strerror or error}", advice="use 127.0.0.1, or an address of this machine"
    )


def _reachable(host: str) -> str:
    """A name for the address bar: an address that stands for all is reached by this machine's name."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
