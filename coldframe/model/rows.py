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

_pools = threading.local()


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

    for _ in threads(num_threads, torch_threads=1).map(do_quietly, range(num_rows)):
        pass


def threads(count: int, *, torch_threads: int) -> ThreadPoolExecutor:
    """This thread's own helpers, on each of which torch's operations use so many threads; begun at the first call.

    Raises:
        MemoryError: when the system has no room for them.
    """
    pools: dict[tuple[int, int], ThreadPoolExecutor] = _pools.__dict__
    key = count, torch_threads
    if key not in pools:
        pools[key] = _begun(count, torch_threads)
    return pools[key]


def _begun(count: int, torch_threads: int) -> ThreadPoolExecutor:
    here = torch.get_num_threads()
    started = threading.Barrier(count + 1)

    def start() -> None:
        torch.get_num_threads()  # a thread's first use takes over the others' number; had now, it cannot come later
        torch.set_num_threads(torch_threads)
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="rows", initializer=start)
    try:
        for _ in range(count):
            pool.submit(int)
    except RuntimeError as error:
        started.abort()  # those that have begun wait for the rest
        raise MemoryError(str(error)) from error
    started.wait()
    torch.set_num_threads(here)  # what the new threads set is also what threads begun later would take over
    return pool
