"""Long work that is killed anywhere: the end is the same, and nothing made under other settings is mixed in."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from coldframe.corpus.batches import Batch, code_of, key_of
from coldframe.errors import CorpusError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the processes that import the work by its own name
batch_work = importlib.import_module("batch_work")
batches, made = batch_work.batches, batch_work.made


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that is not hidden."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_outputs_are_in_order_and_counts_of_all(tmp_path: Path) -> None:
    for processes in (1, 2):
        done = made(tmp_path / str(processes), batches(9), processes)
        assert done.counts == Counter(made=9, numbers=36)
        assert [tuple(note) for note in done.notes] == [(0, "noted"), (4, "noted"), (8, "noted")]
        assert (tmp_path / str(processes) / "out.txt").read_text() == "".join(f"a{number}\n" for number in range(9))
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_what_is_done_is_not_done_twice(tmp_path: Path) -> None:
    made(tmp_path, batches(5))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.suffix in (".txt", ".jsonl")}
    done = made(tmp_path, batches(5))
    assert (done.resumed, done.counts["made"]) == (5, 5)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_input_that_grows_keeps_its_past(tmp_path: Path) -> None:
    made(tmp_path / "grown", batches(5))
    done = made(tmp_path / "grown", batches(8))
    assert done.resumed == 5
    made(tmp_path / "fresh", batches(8))
    assert contents(tmp_path / "grown") == contents(tmp_path / "fresh")
    shrunk = made(tmp_path / "grown", batches(3))
    assert shrunk.counts["made"] == 3
    assert (tmp_path / "grown" / "out.txt").read_text() == "a0\na1\na2\n"


def test_another_setting_never_mixes_with_the_old(tmp_path: Path) -> None:
    made(tmp_path, batches(5))
    done = made(tmp_path, batches(5, "b"))
    assert done.resumed == 0
    assert (tmp_path / "out.txt").read_text() == "".join(f"b{number}\n" for number in range(5))


def test_a_damaged_output_is_made_again(tmp_path: Path) -> None:
    made(tmp_path, batches(6))
    whole = contents(tmp_path)
    path = tmp_path / "out.txt"
    path.write_bytes(path.read_bytes()[:-4] + b"x\nx\n")
    done = made(tmp_path, batches(6))
    assert 0 < done.resumed < 6
    assert contents(tmp_path) == whole


def test_work_that_fails_keeps_what_was_made(tmp_path: Path) -> None:
    bad = batches(6)
    bad[3] = Batch(bad[3].key, ("not a number", "a", 0.0), 1)
    with pytest.raises(TypeError):
        made(tmp_path, bad)
    assert not (tmp_path / "out.txt").exists()
    assert made(tmp_path, batches(6)).resumed == 3


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = elsewhere(tmp_path, 50, 0.1)
    try:
        wait_for_journal(tmp_path, 1, first)
        with pytest.raises(CorpusError, match="another process is at work"):
            made(tmp_path, batches(5))
    finally:
        first.kill()
        first.wait()


def test_a_worker_that_is_killed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="a worker process was killed"):
        made(tmp_path, [*batches(2), Batch("x", (-1, "a", 0.0), 1)], processes=2)
    assert made(tmp_path, batches(4), processes=2).counts["made"] == 4


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_any_moment(tmp_path: Path, processes: int) -> None:
    """SIGKILL again and again: the files are those of an undisturbed run, to the byte."""
    made(tmp_path / "straight", batches(40))
    draw, folder, kills = random.Random(processes), tmp_path / "killed", 0
    while not (folder / "out.txt").exists():
        assert kills < 60
        process = elsewhere(folder, 40, 0.04, processes)
        wait_for_journal(folder, journal_length(folder) + 3, process)
        time.sleep(draw.uniform(0.0, 0.03))
        kills += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert kills >= 3
    assert contents(folder) == contents(tmp_path / "straight")
    assert made(folder, batches(40)).resumed == 40


def elsewhere(folder: Path, count: int, seconds: float, processes: int = 1) -> subprocess.Popen[bytes]:
    """The same work in a process of its own."""
    code = (
        "from pathlib import Path; import batch_work as b; "
        f"b.made(Path({str(folder)!r}), b.batches({count}, seconds={seconds}), {processes})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)


def wait_for_journal(folder: Path, length: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many batches are noted, or the process ends."""
    deadline = time.monotonic() + 60
    while process.poll() is None and journal_length(folder) < length:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def journal_length(folder: Path) -> int:
    """Batches that are noted as made."""
    path = folder / ".test.partial.journal"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_keys_follow_the_code(tmp_path: Path) -> None:
    before = code_of(json)
    assert before == code_of(json) != code_of(batch_work)
    assert key_of("a", 1) != key_of("a", 2) != key_of("a1")
