"""Long work on a corpus, batch by batch: on several processes, in order, and never from the beginning again.

A batch is known by a key: a hash of its input, of what is done to it and of the code that does it. What a batch gives
is appended to the output files in the order of the batches, and then noted in a journal. Who is killed and starts again
finds the journal, cuts off what was written behind its last line, and goes on with the first batch whose key is not
there in its place: so the end is the same as if nothing had happened, and nothing that was made under another
threshold, or of another input, is ever mixed in. Totals are those of all batches, whenever they were made.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import xxhash

from coldframe.errors import CorpusError
from coldframe.run.durable import fsync_folder, remove_abandoned, room_for, write_whole

Counts = Counter[str]
_AHEAD = 2
"""Batches waiting for each process, so that none is ever idle."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of the input."""

    key: str
    """Hash of the input, of the settings and of the code."""
    payload: Any
    """What the work needs to find and do it; small, and sent to another process."""
    size: int
    """Bytes of input, for progress."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the work made of a batch."""

    files: dict[str, bytes]
    """Output file -> what is appended to it."""
    counts: Counts = field(default_factory=Counter)
    notes: tuple[Any, ...] = ()
    """Things to be told one by one, as what was set aside; each becomes JSON."""
    try_again: bool = False
    """Whether the system refused something: the next call makes this batch anew."""


@dataclass(frozen=True, slots=True)
class Done:
    """The whole work's totals, and how much of it was found already made."""

    counts: Counts
    notes: tuple[Any, ...]
    parts: tuple[dict[str, tuple[int, str]], ...]
    """Of each batch, output file -> its bytes and their hash."""
    counts_of_each: tuple[Counts, ...]
    """Of each batch what it counted."""
    resumed: int
    """Batches that an earlier process had made."""


Work = Callable[[Any], Made]
Told = Callable[[int], None]
Heard = Callable[[Counts, Sequence[Any]], None]


def in_shares(progress: Callable[[float], None], whole: int) -> Told:
    """Turns bytes of input as they are done into the share of the whole that is, 0 to 1."""
    done = 0

    def told(size: int) -> None:
        nonlocal done
        done += size
        progress(min(1.0, done / max(1, whole)))

    return told


def key_of(*parts: object) -> str:
    """A key: the hash of what is given, which must be JSON."""
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode())


def code_of(*modules: Any) -> str:
    """A hash of the source of these modules (a package stands for all of its files), so that new code makes anew."""
    seen = xxhash.xxh3_128()
    for module in modules:
        path = Path(module.__file__)
        files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
        for file in files:
            seen.update(file.read_bytes())
    return seen.hexdigest()


def run_batches(
    batches: Iterable[Batch],
    work: Work,
    *,
    folder: Path,
    name: str,
    files: Sequence[str],
    processes: int = 1,
    told: Told = lambda size: None,
    heard: Heard = lambda counts, notes: None,
) -> Done:
    """Do the work on every batch; the output files stand whole in `folder` when this returns, and not before.

    `work` is a function of a module, so that another process can find it. `told` is given the bytes of input done.
    `heard` is given what each batch counted and noted, with one process before the next batch is asked for.

    Raises:
        DiskFullError: what was made stays, and the next call goes on from there.
        CorpusError: when another process is at the same work, or one of the workers was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with room_for(folder / name), _Journal(folder, name, files) as journal:
        waiting = journal.skip(batches, told, heard)
        for batch, made in _in_order(waiting, work, processes):
            journal.append(batch, made)
            heard(made.counts, made.notes)
            told(batch.size)
        return journal.finish()


def _in_order(batches: Iterator[Batch], work: Work, processes: int) -> Iterator[tuple[Batch, Made]]:
    """What the work makes of each batch, in order, with few of them under way."""
    if processes <= 1:
        for batch in batches:
            yield batch, work(batch.payload)
        return
    under_way: deque[tuple[Batch, Future[Made]]] = deque()
    context = multiprocessing.get_context("spawn")  # a copy of a process with threads may hang
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            for batch in batches:
                under_way.append((batch, pool.submit(work, batch.payload)))
                if len(under_way) > processes * _AHEAD:
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        except BrokenProcessPool as error:
            raise CorpusError(
                "a worker process was killed, perhaps for want of memory",
                advice="give --processes 1 and start again: what was made stays",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Journal:
    """What was made so far: output files, and a line for each batch up to whose end they are known to be whole.

    While work is under way the outputs have other names. Once it is done the journal stays beside them: the same work
    is then found done, and of an input that has grown only what is new is made.
    """

    def __init__(self, folder: Path, name: str, files: Sequence[str]) -> None:
        self.folder, self.name = folder, name
        self.finals = {file: folder / file for file in files}
        self.partials = {file: folder / f".{name}.{file.replace('/', '-')}.partial" for file in files}
        self.path, self.done_path = folder / f".{name}.partial.journal", folder / f".{name}.journal"
        self.lines: list[dict[str, Any]] = []
        self.resumed = 0
        self.changed = True
        self._open = contextlib.ExitStack()
        self._outputs: dict[str, IO[bytes]] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Journal:
        lock = self._open.enter_context(open(self.folder / f".{self.name}.lock", "wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._open.close()
            raise CorpusError(
                f"another process is at work in {self.folder}", advice="wait for it, or give another folder"
            ) from None
        remove_abandoned(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def skip(self, batches: Iterable[Batch], told: Told, heard: Heard) -> Iterator[Batch]:
        """The batches that are still to be made: from the first on that is not where the journal has it."""
        under_way = self.path.exists()
        paths, known = (self.partials, self.path) if under_way else (self.finals, self.done_path)
        lines, rest, ends = _lines(known), iter(batches), dict.fromkeys(self.finals, 0)
        batch: Batch | None = None
        with contextlib.ExitStack() as stack:
            outputs = {file: stack.enter_context(open(path, "rb")) for file, path in paths.items() if path.exists()}
            for batch in rest:
                line = lines[len(self.lines)] if len(self.lines) < len(lines) else None
                if line is None or line["key"] != batch.key or not _is_whole(line, outputs, paths):
                    break
                ends = {file: end + line["lengths"][file] for file, end in ends.items()}
                self.lines.append(line)
                heard(Counter(line["counts"]), line["notes"])
                told(batch.size)
            else:
                batch = None
        self.resumed = len(self.lines)
        if batch is None and not under_way and len(lines) == len(self.lines) and outputs.keys() == paths.keys():
            self.changed = False
            return
        self._begin(paths, ends)
        if batch is not None:
            yield batch
            yield from rest

    def _begin(self, paths: Mapping[str, Path], ends: Mapping[str, int]) -> None:
        """Open the outputs where the journal ends."""
        for file, partial in self.partials.items():
            if paths[file] != partial and paths[file].exists():
                shutil.copyfile(paths[file], partial)
            output = self._open.enter_context(partial.open("ab"))
            output.truncate(ends[file])
            self._outputs[file] = output
        write_whole(self.path, b"".join(_as_line(line) for line in self.lines))
        self._file = self._open.enter_context(self.path.open("ab"))

    def append(self, batch: Batch, made: Made) -> None:
        """Keep what was made of the next batch."""
        assert self._file is not None
        parts = {file: made.files.get(file, b"") for file in self._outputs}
        for file, data in parts.items():
            self._outputs[file].write(data)
            self._outputs[file].flush()
        line = {
            "key": "" if made.try_again else batch.key,
            "lengths": {file: len(data) for file, data in parts.items()},
            "hashes": {file: xxhash.xxh3_64_hexdigest(data) for file, data in parts.items()},
            "counts": made.counts,
            "notes": made.notes,
        }
        self._file.write(_as_line(line))
        self._file.flush()
        self.lines.append(line)

    def finish(self) -> Done:
        """Put the outputs in their places, if anything is new."""
        if self.changed:
            for file, output in self._outputs.items():
                os.fsync(output.fileno())
                self.finals[file].parent.mkdir(parents=True, exist_ok=True)
            for file, partial in self.partials.items():
                partial.replace(self.finals[file])
                fsync_folder(self.finals[file].parent)
            self.path.replace(self.done_path)
        each = tuple(Counter(line["counts"]) for line in self.lines)
        counts: Counts = Counter()
        for of_batch in each:
            counts.update(of_batch)
        notes = tuple(note for line in self.lines for note in line["notes"])
        parts = tuple(
            {file: (line["lengths"][file], line["hashes"][file]) for file in self.finals} for line in self.lines
        )
        return Done(counts, notes, parts, each, self.resumed)


def _as_line(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal, without one that was cut off."""
    found: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def _is_whole(line: dict[str, Any], outputs: Mapping[str, IO[bytes]], paths: Mapping[str, Path]) -> bool:
    """Whether what a line speaks of comes next, to the byte: a power cut may have kept the line alone."""
    return outputs.keys() == paths.keys() and all(
        xxhash.xxh3_64_hexdigest(output.read(line["lengths"].get(file, 0))) == line["hashes"].get(file)
        for file, output in outputs.items()
    )
