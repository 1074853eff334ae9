"""The cursor of a run's stream: how far into every table a reader has seen, written so that it fits an event's id."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from coldframe.errors import UsageError
from coldframe.run.view import TABLES, RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The newest row id seen in every table, and a checksum of the checkpoints, whose rows also change in place.

    `born` tells a run from another that was made anew under its name; 0 where nothing was seen yet.
    """

    ids: dict[str, int]
    checkpoints: int = 0
    born: int = 0

    def __str__(self) -> str:
        parts = [*self.ids.items(), ("state", self.checkpoints), ("born", self.born)]
        return ",".join(f"{name}={value}" for name, value in parts)


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
    state, born = parts.pop("state", 0), parts.pop("born", 0)
    if not parts.keys() <= TABLES.keys() or any(value < 0 for value in parts.values()):
        raise UsageError(
            f"{text[:100]!r} is not a cursor", advice="take the one that the run's page or its last event gave"
        )
    return Cursor(ids={table: parts.get(table, 0) for table in TABLES}, checkpoints=state, born=born)


def newest_cursor(view: RunView) -> Cursor:
    """A reader's cursor when it has seen everything."""
    return Cursor(ids=view.cursor(), checkpoints=checkpoints_checksum(view), born=born(view))


def born(view: RunView) -> int:
    """The microsecond in which the run's first segment began; 0 before."""
    rows = view.query("SELECT time FROM segments ORDER BY segment LIMIT 1")
    return int(rows[0]["time"] * 1e6) if rows else 0


def checkpoints_checksum(view: RunView) -> int:
    """Changes when retention thins a checkpoint out or a score is added to one."""
    rows = view.query("SELECT id, contains, val_bpb FROM checkpoints ORDER BY id")
    return zlib.crc32(repr([tuple(row) for row in rows]).encode())
