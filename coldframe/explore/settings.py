"""What a user may set of the explorer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreSettings:
    """The web page and API over all runs."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but this machine's own asks every visitor for a token."""
    port: int = 8400
    """Port to listen on; 0 takes a free one."""
    runs: str = "runs"
    """Folder that holds the runs."""
    json: bool = False
    """Print one line {url, port} when ready, for programs."""
    quiet: bool = False
    """Print nothing but that line and errors."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the explorer."""
        return self.host in LOOPBACK_HOSTS


#: Names by which a browser on this machine reaches a server that only this machine can reach.
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
