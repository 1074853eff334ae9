"""Serving begins with one line and ends without a fuss, streams open or not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from coldframe.errors import ServeError, SettingsError
from coldframe.explore.serve import Explorer
from coldframe.explore.settings import ExploreSettings
from tests.explore.made import make_run

_SERVE = (
    "import sys; from coldframe.explore.serve import serve; from coldframe.explore.settings import ExploreSettings; "
    "serve(ExploreSettings(port=0, runs=sys.argv[1], json=True))"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_while_a_stream_is_open(runs: Path, number: signal.Signals) -> None:
    make_run(runs, "a", steps=5)
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["url"] == f"http://127.0.0.1:{ready['port']}/"
    with httpx.stream("GET", f"{ready['url']}runs/a/stream", timeout=10) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(number)
        began = time.monotonic()
        try:
            list(lines)
        except httpx.RemoteProtocolError:  # cut off rather than ended is fair too
            pass
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert time.monotonic() - began < 2.5


def test_a_port_in_use_is_told_with_advice(runs: Path) -> None:
    first = Explorer(ExploreSettings(port=0, runs=str(runs)))
    with pytest.raises(ServeError, match=rf"port {first.ready.port} on 127.0.0.1 is in use.*--port 0"):
        Explorer(ExploreSettings(port=first.ready.port, runs=str(runs)))
    first.socket.close()


def test_what_cannot_be_listened_on_is_told(runs: Path) -> None:
    with pytest.raises(ServeError, match="cannot listen on '203.0.113.7'"):
        Explorer(ExploreSettings(host="203.0.113.7", port=0, runs=str(runs)))
    with pytest.raises(SettingsError, match="port cannot be 99999"):
        Explorer(ExploreSettings(port=99999, runs=str(runs)))
