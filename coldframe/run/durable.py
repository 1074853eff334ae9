"""Files that are either whole or not there: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from coldframe.errors import DiskFullError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HOST = socket.gethostname().partition(".")[0] or "host"


def temporary_name(label: str) -> str:
    """A name that no other process uses and that tells who is writing: `label-HOST-PID-RANDOM`."""
    return f"{label}-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def is_abandoned(name: str, label: str) -> bool:
    """Whether `name` was made by `temporary_name(label)` on this machine by a process that no longer lives."""
    start = f"{label}-{_HOST}-"
    if not name.startswith(start):
        return False
    pid = name.removeprefix(start).partition("-")[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        return False
    return False


def remove_abandoned(path: Path) -> None:
    """Take away what was to become `path` and was left by a process of this machine that was killed."""
    label = f".{path.name}"
    for beside in path.parent.glob(f"{glob.escape(label)}-*"):
        if is_abandoned(beside.name, label):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turns the ways in which a disk says it is full into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f"no room left to write {path}",
                advice="free some space and start again; what was whole before is untouched",
            ) from error
        raise


def fsync_folder(folder: Path) -> None:
    """Makes renames and new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Puts `data` at `path` as a whole, replacing what was there; raises DiskFullError."""
    beside = path.with_name(temporary_name(f".{path.name}"))
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)
