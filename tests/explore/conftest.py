"""An explorer on a free port."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from coldframe.explore.serve import Explorer
from coldframe.explore.settings import ExploreSettings


class Served:
    """A running explorer and a client of it."""

    def __init__(self, runs: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.runs = runs
        self.explorer = Explorer(ExploreSettings(host=host, port=port, runs=str(runs)))
        ready = threading.Event()
        self._thread = threading.Thread(target=self.explorer.run_until_told, args=(lambda _: ready.set(),), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        self.port = self.explorer.ready.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def close(self) -> None:
        """End it; a test that leaves a stream open must not hang this."""
        self.client.close()
        self.explorer.end()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the explorer did not end"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs."""
    return tmp_path / "runs"


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serves a folder of runs; several may be served at once."""
    served: list[Served] = []

    def start(runs: Path, host: str = "127.0.0.1", port: int = 0) -> Served:
        served.append(Served(runs, host, port))
        return served[-1]

    yield start
    for one in served:
        one.close()


@pytest.fixture
def read_only(tmp_path: Path, serve: Callable[..., Served]) -> Iterator[Callable[[Path], Path]]:
    """Shows a folder at another place where nobody may write, not even root; skipped where that cannot be had."""
    place = tmp_path / "read-only"

    def show(folder: Path) -> Path:
        place.mkdir()
        try:
            subprocess.run(["mount", "--bind", "-o", "ro", folder, place], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root may mount a folder read-only")
        return place

    yield show
    if place.exists() and os.statvfs(place).f_flag & os.ST_RDONLY:
        subprocess.run(["umount", "--lazy", place], check=True)
