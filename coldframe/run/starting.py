"""Processes that outlive whoever started them (a trainer in the background), and processes that must not."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys

from coldframe.run.paths import RunFolder

_PR_SET_PDEATHSIG = 1


def spawn_trainer(folder: RunFolder) -> subprocess.Popen[bytes]:
    """Start `coldframe train` for a run; it goes on from the last checkpoint and prints to trainer.log."""
    command = [sys.executable, "-m", "coldframe", "train", "--run", folder.name, "--runs", str(folder.runs.absolute())]
    with open(folder.log, "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def already_done(folder: RunFolder) -> str:
    """Why no trainer is started for a run whose schedule is finished."""
    return f"the schedule is finished; to go on, lengthen it: coldframe extend {folder.name} --steps N"


def end_with_parent() -> None:
    """Called in a child: let the kernel send it SIGTERM when its parent ends, however that happens (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
