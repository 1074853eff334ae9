"""The tables of run.db and explorer.db, as numbered migrations that are applied once and never edited afterwards.

run.db is written by the process that holds trainer.lock and by nobody else; explorer.db by the explorer and by CLI
verbs. Both are SQLite in WAL mode on a local disk, so that readers never wait for the writer. docs/run-folder.md
says what each table and column means; a test holds the two together.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coldframe.run.durable import room_for

#: Parameter groups whose gradient and update norms are recorded at every step.
GROUPS = ("embedding", "value_embedding", "head", "attention", "mlp", "scalar")
#: In place of a source's name: all of them together, each byte weighing the same.
ALL_SOURCES = "all"

_GROUP_COLUMNS = "\n".join(f"    {kind}_norm_{group} REAL," for kind in ("grad", "update") for group in GROUPS)

_M001_RUN = f"""
CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    start_step INTEGER NOT NULL,
    reason TEXT NOT NULL,
    checkpoint TEXT,
    code_version TEXT NOT NULL,
    environment TEXT NOT NULL,
    changed TEXT NOT NULL
);
CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    train_loss REAL,
    learning_rate REAL,
    grad_norm REAL,
    clip_scale REAL,
{_GROUP_COLUMNS}
    num_tokens INTEGER,
    next_row INTEGER,
    seconds REAL,
    tokens_per_second REAL
);
CREATE INDEX steps_by_step ON steps (step, segment);
CREATE TABLE source_losses (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    source TEXT NOT NULL,
    train_loss REAL,
    num_tokens INTEGER NOT NULL
);
CREATE TABLE evals (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    suite TEXT NOT NULL,
    source TEXT NOT NULL,
    metric TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    n INTEGER,
    detail TEXT NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    prompt TEXT NOT NULL,
    text TEXT NOT NULL,
    temperature REAL NOT NULL,
    seed INTEGER NOT NULL,
    num_tokens INTEGER NOT NULL,
    loss REAL,
    perplexity REAL
);
CREATE TABLE stages (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    start_block INTEGER NOT NULL,
    shares TEXT NOT NULL,
    sources TEXT NOT NULL,
    skip_blocks TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    message TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY,
    request TEXT NOT NULL UNIQUE,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    requested REAL NOT NULL,
    time REAL NOT NULL,
    verb TEXT NOT NULL,
    arguments TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('applied', 'refused')),
    detail TEXT NOT NULL
);
CREATE TABLE checkpoints (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    folder TEXT NOT NULL,
    num_bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    stall_seconds REAL NOT NULL,
    weights_sha256 TEXT NOT NULL,
    reason TEXT NOT NULL,
    contains TEXT NOT NULL CHECK (contains IN ('whole', 'weights', 'nothing')),
    val_bpb REAL
);
CREATE TABLE published (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    file TEXT NOT NULL,
    num_bytes INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE heartbeats (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    time REAL NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    memory_bytes INTEGER,
    device_memory_bytes INTEGER,
    utilisation REAL,
    temperature REAL,
    power_watts REAL,
    energy_joules REAL,
    mfu REAL
);
"""

_M001_EXPLORER = """
CREATE TABLE leases (
    reader TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    expires REAL NOT NULL
);
"""

#: By what time stands in trainer.lock a reader knows whether the newest segment is of the trainer that holds it.
_M002_RUN = "ALTER TABLE segments ADD COLUMN lock_since REAL"

RUN_MIGRATIONS = (_M001_RUN, _M002_RUN)
EXPLORER_MIGRATIONS = (_M001_EXPLORER,)

#: No room in the file itself, for the memory that its readers share, or beyond a limit on file sizes.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE")

#: How long a connection waits for another's short transaction, seconds; a disk that stalls has been seen to take 20.
BUSY_SECONDS = 60.0


class _Connection(sqlite3.Connection):
    """Closes itself when nobody holds it any more, as a run that was opened in a notebook and forgotten; Python 3.13
    would warn then."""

    def __del__(self) -> None:
        self.close()


def open_database(path: Path, migrations: tuple[str, ...]) -> sqlite3.Connection:
    """Open a database for writing and bring its schema up to date, each migration in one transaction.

    synchronous=NORMAL in WAL mode: a power cut may lose the last rows but never the database.

    Raises:
        DiskFullError: when there is no room.
    """
    with room_in_database(path):
        return _open(path, migrations)


@contextmanager
def room_in_database(path: Path) -> Iterator[None]:
    """Turns SQLite's ways of saying that the disk is full into DiskFullError."""
    with room_for(path):
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname in _FULL:
                raise OSError(errno.ENOSPC, str(error)) from error
            raise


def _open(path: Path, migrations: tuple[str, ...]) -> sqlite3.Connection:
    connection = _connect(path.absolute().as_uri())
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, time REAL NOT NULL)")
        for number, script in enumerate(migrations, start=1):
            if not _applied(connection, number):
                _apply(connection, number, script)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set WAL mode. Of several processes that do so to a new database at once SQLite refuses all but one immediately,
    lest they wait for each other for good: its own timeout does not count here."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(0.01)


def read_database(path: Path) -> sqlite3.Connection | None:
    """Open a database for reading only; None when it does not exist yet.

    In a place where nobody may write (a medium, somebody else's folder) SQLite cannot make the memory that readers and
    writers of a write-ahead log share; where none is left over from a writer, none is needed either.
    """
    if not path.is_file():
        return None
    nobody_writes = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return _connect(f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if nobody_writes else ""))


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    connection.row_factory = sqlite3.Row
    return connection


def _applied(connection: sqlite3.Connection, number: int) -> bool:
    return connection.execute("SELECT 1 FROM migrations WHERE number = ?", (number,)).fetchone() is not None


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _applied(connection, number):  # another process may have been first
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, time.time()))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
