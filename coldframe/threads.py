"""How the threads of one operation wait for each other; has to be said before torch loads OpenMP."""

from __future__ import annotations

import os

#: Turns of GNU OpenMP's waiting loop before a thread sleeps: some ten microseconds, about as long as waking one takes.
SPINS = 1000


def share_the_cores() -> None:
    """Let waiting threads sleep soon, unless the environment already says something else.

    A thread that spins takes its core from the explorer and anything else that runs beside training: with a busy
    neighbour on two cores, steps take several times as long. One that sleeps at once has to be woken for every
    operation, which costs a small model a fifth of its speed on idle cores (docs/log.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
