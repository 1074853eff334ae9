"""The trainer's lock: one at a time, told by the kernel, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coldframe.errors import LockError
from coldframe.run.lock import TrainerLock, holder, read_holder

HOLD = """
import sys
from pathlib import Path
from coldframe.run.lock import TrainerLock
with TrainerLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_with_the_first_ones_name(tmp_path: Path) -> None:
    """Whoever comes second learns who holds it and what to do."""
    path = tmp_path / "a" / "trainer.lock"
    path.parent.mkdir()
    with another(path) as process:
        found = holder(path)
        assert found is not None
        assert found.pid == process.pid
        with pytest.raises(LockError, match=f"'a'.*process {process.pid} on") as caught:
            TrainerLock(path).acquire()
        assert "coldframe stop" in caught.value.advice
        held = read_holder(path)
        assert held is not None
        assert held.pid == process.pid  # the refused one did not overwrite it


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """After SIGKILL the file still names it, and nobody takes that for life."""
    path = tmp_path / "trainer.lock"
    with another(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holder(path) is None
        assert read_holder(path) is not None
        with TrainerLock(path):
            found = holder(path)
            assert found is not None
            assert found.pid == os.getpid()
    assert holder(path) is None


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    """No file, or one of nonsense: no holder."""
    assert holder(tmp_path / "none") is None
    (tmp_path / "nonsense").write_text("[]")
    assert holder(tmp_path / "nonsense") is None
    assert read_holder(tmp_path / "nonsense") is None


def test_asking_never_keeps_a_trainer_out(tmp_path: Path) -> None:
    """Readers that ask all the time do not make taking the lock fail."""
    path = tmp_path / "trainer.lock"
    path.touch()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            holder(path)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            with TrainerLock(path):
                pass
    finally:
        ended.set()
        for reader in readers:
            reader.join()
