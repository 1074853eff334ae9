"""The rows of a batch over a processor's threads: each row by one thread, from beginning to end.

Torch shares every single operation out among its threads, which wait for each other after each. Where a row takes many
small operations, the waiting costs more than the work (docs/log.md). Here a thread takes whole rows and each operation
in it runs on that thread alone. A row's numbers do not depend on how many threads there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_pools: dict[int, ThreadPoolExecutor] = {}


def for_rows(do: Callable[[int], None], num_rows: int) -> None:
    """Call `do` for every row, on as many threads as torch uses here; an error of any row is raised."""
    num_threads = torch.get_num_threads()
    if min(num_threads, num_rows) == 1:
        for row in range(num_rows):
            do(row)
        return
    inference = torch.is_inference_mode_enabled()

    def do_quietly(row: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            do(row)

    for _ in _pool(num_threads).map(do_quietly, range(num_rows)):
        pass


def _pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads on which torch uses one thread each."""
    if num_threads not in _pools:
        started = threading.Barrier(num_threads + 1)

        def start() -> None:
            torch.set_num_threads(1)
            started.wait()

        pool = _pools[num_threads] = ThreadPoolExecutor(num_threads, thread_name_prefix="rows", initializer=start)
        for _ in range(num_threads):
            pool.submit(int)
        started.wait()
        torch.set_num_threads(num_threads)  # a thread's setting is also what threads begun later take over
    return _pools[num_threads]
