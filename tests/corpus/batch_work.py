"""Work for the processes of test_batches.py: a module that they can import by its own name."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from coldframe.corpus.batches import Batch, Done, Made, key_of, run_batches

FILES = ["out.txt", "attributes/sizes.jsonl"]


def work(payload: tuple[int, str, float]) -> Made:
    """Write the batch's number; a negative one kills its process."""
    number, setting, seconds = payload
    time.sleep(seconds)
    if number + 0 < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    text = f"{setting}{number}\n".encode()
    notes = ((number, "noted"),) if number % 4 == 0 else ()
    files = {"out.txt": text, "attributes/sizes.jsonl": b"%d\n" % len(text)}
    return Made(files, Counter(made=1, numbers=number), notes)


def batches(count: int, setting: str = "a", seconds: float = 0.0) -> list[Batch]:
    """Batches whose work writes their number, and takes some time."""
    return [Batch(key_of(number, setting), (number, setting, seconds), 1) for number in range(count)]


def made(folder: Path, given: list[Batch], processes: int = 1) -> Done:
    """The work done."""
    return run_batches(given, work, folder=folder, name="test", files=FILES, processes=processes)
