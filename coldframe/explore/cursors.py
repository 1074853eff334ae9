"""The cursor of a run's stream: how far into every table a reader has seen, written so that it fits an event's id."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from coldframe.errors import UsageError
from coldframe.run.view import TABLES, RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The newest row id seen in every table, and a checksum of the checkpoints, whose rows also change in place."""

    ids: dict[str, int]
    checkpoints: int = 0

    def __str__(self) -> str:
        return ",".join([*(f"{table}={id}" for table, id in self.ids.items()), f"state={self.checkpoints}"])


START = Cursor(ids=dict.fromkeys(TABLES, 0))


def parse_cursor(text: str) -> Cursor:
    """Read a cursor back.

    Raises:
        UsageError: when it is not one.
    """
    try:
        parts = {name: int(value) for name, _, value in (part.partition("=") for part in text.split(",") if part)}
    except ValueError:
        parts = {"": 0}
    state = parts.pop("state", 0)
    if not parts.keys() <= TABLES.keys() or any(value < 0 for value in parts.values()):
        raise UsageError(
            f"{text[:100]!r} is not a cursor", advice="take the one that the run's page or its last event gave"
        )
    return Cursor(ids={table: parts.get(table, 0) for table in TABLES}, checkpoints=state)


def newest_cursor(view: RunView) -> Cursor:
    """A reader's cursor when it has seen everything."""
    return Cursor(ids=view.cursor(), checkpoints=checkpoints_checksum(view))


def checkpoints_checksum(view: RunView) -> int:
    """Changes when retention thins a checkpoint out or a score is added to one."""
    rows = view.query("SELECT id, contains, val_bpb FROM checkpoints ORDER BY id")
    return zlib.crc32(repr([tuple(row) for row in rows]).encode())
