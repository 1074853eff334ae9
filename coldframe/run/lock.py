"""Who trains a run: one process at a time, told by the kernel rather than by a file that a crash leaves behind."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from coldframe.errors import LockError

_TRIES = 10
_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a lock, as it wrote it down."""

    pid: int
    host: str
    since: float


class TrainerLock:
    """An exclusive lock on a run, held until `release` or until the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.since = 0.0
        self._file: IO[str] | None = None

    def acquire(self) -> TrainerLock:
        """Take the lock.

        Raises:
            LockError: when another process holds it, with its pid and host.
        """
        file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (kept open for as long as the lock is held)
        for _ in range(_TRIES):  # a reader that asks who trains holds a shared lock for an instant
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_WAIT_SECONDS)
        else:
            file.close()
            raise LockError(
                f"run {self.path.parent.name!r} is already being trained by {_describe(read_holder(self.path))}",
                advice="stop it first (coldframe stop), or train under another name",
            )
        self.since = time.time()
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": self.since}))
        file.flush()
        self._file = file
        return self

    def release(self) -> None:
        """Let the lock go; the file stays and says who trained last."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> TrainerLock:
        return self if self._file is not None else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> Holder | None:
    """The process that trains now, or None; asks the kernel, so that a killed trainer is never taken for a live one."""
    try:
        with open(path, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                pass
        for _ in range(_TRIES):  # whoever took the lock this instant has yet to write who it is
            found = read_holder(path)
            if found is not None:
                return found
            time.sleep(_WAIT_SECONDS / _TRIES)
        return Holder(pid=0, host="unknown", since=0.0)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_holder(path: Path) -> Holder | None:
    """Who wrote the lock file last, alive or not."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Holder(pid=int(record["pid"]), host=str(record["host"]), since=float(record["since"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _describe(found: Holder | None) -> str:
    return f"process {found.pid} on {found.host}" if found else "another process"
