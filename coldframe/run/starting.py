"""Starting a trainer in the background for a run that has none: a process that outlives whoever starts it."""

from __future__ import annotations

import subprocess
import sys

from coldframe.run.paths import RunFolder


def spawn_trainer(folder: RunFolder) -> subprocess.Popen[bytes]:
    """Start `coldframe train` for a run; it goes on from the last checkpoint and prints to trainer.log."""
    command = [sys.executable, "-m", "coldframe", "train", "--run", folder.name, "--runs", str(folder.runs.absolute())]
    with open(folder.log, "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
