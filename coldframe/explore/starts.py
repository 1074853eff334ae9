"""Starting a trainer for a run that has none: a process of its own, which outlives the explorer."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coldframe.run.lock import holder
from coldframe.run.paths import RunFolder
from coldframe.run.starting import spawn_trainer

_TAIL_BYTES = 4000
#: A trainer that fails prints why and then closes its record.
_SECONDS_TO_END = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How the start of a trainer stands."""

    pid: int
    since: float
    state: Literal["starting", "running", "failed"]
    detail: str


class Starts:
    """The trainers that this explorer started; remembers the newest of each run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._held: set[str] = set()

    def begin(self, folder: RunFolder) -> Start:
        """Start a trainer that goes on with a run; a start that is still under way is not doubled."""
        with self._lock:
            found = self._state(folder)
            if found is not None and found.state == "starting":
                return found
            self._started[folder.name] = (spawn_trainer(folder), time.time())
            self._held.discard(folder.name)
            state = self._state(folder)
        assert state is not None
        return state

    def state(self, folder: RunFolder) -> Start | None:
        """How the newest start of a run stands, or None when this explorer never started one."""
        with self._lock:
            return self._state(folder)

    def _state(self, folder: RunFolder) -> Start | None:
        if folder.name not in self._started:
            return None
        process, since = self._started[folder.name]
        status, alive = process.poll(), holder(folder.lock)
        trains = alive is not None and alive.since >= since
        if trains:
            self._held.add(folder.name)
        if folder.name in self._held:  # from then on the run's own status says all there is to say
            return Start(pid=process.pid, since=since, state="running", detail="") if trains else None
        if status is None:
            return Start(pid=process.pid, since=since, state="starting", detail="")
        if status == 0 or _changed_since(folder):
            return None
        return Start(
            pid=process.pid, since=since, state="failed", detail=_last_line(folder.log) or f"exit status {status}"
        )


def _changed_since(folder: RunFolder) -> bool:
    """Whether somebody trained the run after the trainer that was started here printed its last."""
    try:
        return folder.database.stat().st_mtime > folder.log.stat().st_mtime + _SECONDS_TO_END
    except OSError:
        return False


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:  # the run was deleted since
        return ""
    return lines[-1][:500] if lines else ""
