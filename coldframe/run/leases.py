"""Leases: a reader says that it wants fresh weights for a while; the trainer publishes only when somebody reads."""

from __future__ import annotations

import sqlite3
import time

from coldframe.run.paths import RunFolder
from coldframe.run.schema import EXPLORER_MIGRATIONS, open_database, read_database, room_in_database

LEASE_SECONDS = 60.0


def take_lease(folder: RunFolder, reader: str, purpose: str, seconds: float = LEASE_SECONDS) -> None:
    """Ask for fresh weights during the next seconds; ask again to prolong.

    Raises:
        DiskFullError: when there is no room for the question.
    """
    connection = open_database(folder.explorer_database, EXPLORER_MIGRATIONS)
    try:
        now = time.time()
        with room_in_database(folder.explorer_database):
            connection.execute("DELETE FROM leases WHERE expires < ?", (now,))
            connection.execute(
                "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (reader) DO UPDATE SET expires = excluded.expires",
                (reader, purpose, now + seconds),
            )
    finally:
        connection.close()


def lease_is_held(folder: RunFolder) -> bool:
    """Whether anybody wants fresh weights now; the trainer's question, asked about once a second."""
    connection = read_database(folder.explorer_database)
    if connection is None:
        return False
    try:
        row = connection.execute("SELECT 1 FROM leases WHERE expires >= ? LIMIT 1", (time.time(),)).fetchone()
        return row is not None
    except sqlite3.OperationalError:  # the explorer is creating the table right now
        return False
    finally:
        connection.close()
