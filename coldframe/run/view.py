"""The reader's side of a run folder: everything that pages, reports and the Python API show comes through here.

Reads only; never waits for the trainer; works while it trains, after it died, and before it wrote anything.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from coldframe.errors import SettingsError
from coldframe.run.lock import Holder, holder
from coldframe.run.paths import RunFolder
from coldframe.run.schema import read_database

#: Tables that can be read row by row with a cursor, and their columns that hold JSON.
TABLES: dict[str, tuple[str, ...]] = {
    "steps": (),
    "source_losses": (),
    "evals": ("detail",),
    "samples": (),
    "events": ("detail",),
    "stages": ("shares", "sources", "skip_blocks"),
    "outcomes": ("arguments",),
    "checkpoints": (),
    "published": (),
    "heartbeats": (),
    "segments": ("environment", "changed"),
}
#: A trainer that holds the lock but has been silent for longer than this is shown as stale, seconds.
STALE_SECONDS = 60.0

#: Kinds of training after which a model answers instead of going on with a text.
CHAT_KINDS = frozenset({"sft", "dpo", "rl"})

Status = Literal[
    "planned",
    "preparing",
    "training",
    "evaluating",
    "sampling",
    "checkpointing",
    "paused",
    "stopped",
    "done",
    "failed",
    "halted",
    "dead",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """How a run stands now."""

    status: Status
    message: str
    step: int
    num_steps: int
    segment: int
    time: float | None
    holder: Holder | None
    stale: bool


class RunView:
    """A run folder, read. Safe to share between threads; metric columns are kept and grown, not read anew."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._columns: dict[str, _Column] = {}
        self._plan: tuple[int, dict[str, Any]] | None = None

    def plan(self) -> dict[str, Any]:
        """run.toml as a dictionary, read again when it changed (an extended run); empty while a run is being prepared.

        Raises:
            SettingsError: when the file is damaged.
            FileNotFoundError: when there is none, and nobody prepares the run.
        """
        try:
            stamp = self.folder.plan_file.stat().st_mtime_ns
            if self._plan is None or self._plan[0] != stamp:
                self._plan = (stamp, tomllib.loads(self.folder.plan_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            if holder(self.folder.lock) is None:
                raise
            return {}
        except ValueError as error:  # not UTF-8, or not TOML
            raise SettingsError(
                f"{os.fspath(self.folder.plan_file)} is not a run.toml: {error}",
                advice="restore it from a copy; the checkpoints beside it are not touched",
            ) from error
        return self._plan[1]

    def answers(self) -> bool:
        """Whether the run's model was taught to answer; else it goes on with a text."""
        return self.plan().get("run", {}).get("kind") in CHAT_KINDS

    def status(self) -> RunStatus:
        """How the run stands: what the trainer said last, held against whether it lives."""
        beat = self.last("heartbeats")
        alive = holder(self.folder.lock)
        num_steps = int(self.plan().get("plan", {}).get("num_steps", 0))
        if beat is None or (alive is not None and self._is_of_another(alive)):
            status: Status = "preparing" if alive else "planned"
            step, segment = (beat["step"], beat["segment"]) if beat else (0, 0)
            return RunStatus(
                status=status,
                message="",
                step=step,
                num_steps=num_steps,
                segment=segment,
                time=None,
                holder=alive,
                stale=False,
            )
        said: Status = beat["status"]
        if said == "done" and beat["step"] < num_steps:  # lengthened since
            said = "stopped"
        ended = said in ("stopped", "done", "failed", "halted")
        return RunStatus(
            status=said if alive or ended else "dead",
            message=beat["message"],
            step=beat["step"],
            num_steps=num_steps,
            segment=beat["segment"],
            time=beat["time"],
            holder=alive,
            stale=alive is not None and time.time() - beat["time"] > STALE_SECONDS,
        )

    def _is_of_another(self, alive: Holder) -> bool:
        """Whether the newest segment is of an earlier trainer: the one that holds the lock is still loading."""
        segment = self.last("segments")
        return segment is not None and segment.get("lock_since") not in (None, alive.since)

    def last(self, table: str) -> dict[str, Any] | None:
        """The newest row of a table."""
        rows = self.query(f"SELECT * FROM {_known(table)} ORDER BY rowid DESC LIMIT 1")
        return _decode(table, rows[0]) if rows else None

    def rows(self, table: str, *, after: int = 0, limit: int = 1000, newest: bool = False) -> list[dict[str, Any]]:
        """Rows whose id is greater than `after`, oldest first; with `newest`, the last `limit` of them."""
        key = "segment" if table == "segments" else "id"
        order = "DESC" if newest else "ASC"
        found = self.query(
            f"SELECT * FROM {_known(table)} WHERE {key} > ? ORDER BY {key} {order} LIMIT ?", (after, limit)
        )
        rows = [_decode(table, row) for row in found]
        return rows[::-1] if newest else rows

    def row(self, table: str, id: int) -> dict[str, Any] | None:
        """One row by its id."""
        found = self.query(f"SELECT * FROM {_known(table)} WHERE rowid = ?", (id,))
        return _decode(table, found[0]) if found else None

    def outcome(self, request: str) -> dict[str, Any] | None:
        """What became of a request, or None while it waits."""
        found = self.query("SELECT * FROM outcomes WHERE request = ?", (request,))
        return _decode("outcomes", found[0]) if found else None

    def cursor(self) -> dict[str, int]:
        """The newest id of every table: what a reader has seen when it has seen everything."""
        newest = {}
        for table in TABLES:
            found = self.query(f"SELECT MAX(rowid) FROM {table}")
            newest[table] = int(found[0][0] or 0) if found else 0
        return newest

    def metrics(self, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Step columns as arrays in step order; where a step was trained twice, the newest segment's row stands.

        `step` is always among them (int64); the others are float64 with NaN for "not measured".

        Raises:
            KeyError: for a name that is not a column of `steps`.
        """
        with self._lock:
            connection = self._open()
            arrays = self._grown(connection, dict.fromkeys(("step", "segment", *columns)))
        length = min(len(array) for array in arrays.values())  # rows may arrive between two reads
        arrays = {name: array[:length] for name, array in arrays.items()}
        order = _newest_rows(arrays["step"], arrays["segment"])
        chosen = {name: arrays[name][order] for name in ("step", *columns)}
        chosen["step"] = chosen["step"].astype(np.int64)
        return chosen

    def query(self, sql: str, arguments: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Rows of a reading query; none while the database or its tables do not exist yet."""
        with self._lock:
            connection = self._open()
            if connection is None:
                return []
            try:
                return connection.execute(sql, arguments).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # the trainer is creating it
                    return []
                raise

    def close(self) -> None:
        """Close the database; the next read opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection | None:
        try:
            inode = os.stat(self.folder.database).st_ino
        except FileNotFoundError:
            return None
        if self._connection is None or inode != self._inode:  # a run deleted and made again under the same name
            self._connection, self._inode, self._columns = read_database(self.folder.database), inode, {}
        return self._connection

    def _grown(self, connection: sqlite3.Connection | None, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Step columns with what was written since the last look; those that end at one row are read on together."""
        ends: dict[int, list[str]] = {}
        for name in names:
            ends.setdefault(self._columns.setdefault(name, _Column()).last_id, []).append(name)
        if connection is not None:
            for last_id, together in ends.items():
                self._read_on(connection, last_id, together)
        return {name: self._columns[name].values() for name in names}

    def _read_on(self, connection: sqlite3.Connection, last_id: int, names: list[str]) -> None:
        try:
            known = ", ".join(_known_column(connection, name) for name in names)
            cursor = connection.cursor()
            cursor.row_factory = None  # plain tuples: numpy reads 100,000 of them several times faster than rows
            rows = cursor.execute(f"SELECT id, {known} FROM steps WHERE id > ? ORDER BY id", (last_id,)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return
            raise
        if rows:
            table = np.array(rows, dtype=np.float64)  # NULL becomes NaN
            for index, name in enumerate(names, start=1):
                self._columns[name].extend(int(rows[-1][0]), table[:, index])


class _Column:
    """One step column in memory, doubled when full."""

    def __init__(self) -> None:
        self.last_id = 0
        self._size = 0
        self._array = np.empty(1024)

    def extend(self, last_id: int, values: np.ndarray) -> None:
        end = self._size + len(values)
        if end > len(self._array):
            grown = np.empty(max(end, 2 * len(self._array)))
            grown[: self._size] = self._array[: self._size]
            self._array = grown
        self._array[self._size : end] = values
        self._size, self.last_id = end, last_id

    def values(self) -> np.ndarray:
        return self._array[: self._size]


def buckets(x: np.ndarray, y: np.ndarray, points: int) -> dict[str, np.ndarray]:
    """Thin a curve to at most `points` buckets that keep its extremes: first x, mean, min and max of each.

    NaN values are left out; a bucket of nothing but NaN is NaN.
    """
    if len(x) <= points:
        return {"x": x, "mean": y, "min": y, "max": y}
    starts = np.unique(np.linspace(0, len(x), points, endpoint=False).astype(np.int64))
    finite = np.isfinite(y)
    count = np.add.reduceat(finite, starts, dtype=np.int64)
    total = np.add.reduceat(np.where(finite, y, 0.0), starts)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
    empty = count == 0
    return {"x": x[starts], "mean": mean, "min": np.where(empty, np.nan, low), "max": np.where(empty, np.nan, high)}


def _newest_rows(step: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Indices that give each step once, in order, from its newest segment."""
    if len(step) and np.all(np.diff(step) > 0):
        return np.arange(len(step))
    order = np.lexsort((segment, step))
    last = np.append(np.diff(step[order]) != 0, True) if len(step) else np.empty(0, dtype=bool)
    return np.asarray(order[last])


def _known(table: str) -> str:
    assert table in TABLES, f"no table {table!r}"
    return table


def _known_column(connection: sqlite3.Connection, name: str) -> str:
    names = {row[1] for row in connection.execute("PRAGMA table_info(steps)")}
    if name not in names and names:
        raise KeyError(f"steps has no column {name!r}; it has {', '.join(sorted(names))}")
    return name


def _decode(table: str, row: sqlite3.Row) -> dict[str, Any]:
    record = dict(row)
    for name in TABLES[table]:
        record[name] = json.loads(record[name])
    return record
