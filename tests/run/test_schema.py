"""The tables: as docs/run-folder.md describes them, column by column; migrated once, also by two processes at once."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coldframe.run.schema import EXPLORER_MIGRATIONS, RUN_MIGRATIONS, open_database, read_database

PAGE = Path(__file__).parents[2] / "docs" / "run-folder.md"


def described() -> dict[str, list[str]]:
    """Table -> columns, in the page's order."""
    tables: dict[str, list[str]] = {}
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
        cells = [line.strip("| ").split(" | ") for line in rows]
        assert all(len(row) >= 2 and row[1] for row in cells), f"a column of {name} has no meaning"
        tables[name] = [column for row in cells[1:] for column in row[0].split(", ")]
    return tables


def test_every_table_and_column_is_described(tmp_path: Path) -> None:
    """The page lists exactly what the databases hold, in their order."""
    found = {}
    for name, migrations in (("run.db", RUN_MIGRATIONS), ("explorer.db", EXPLORER_MIGRATIONS)):
        connection = open_database(tmp_path / name, migrations)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables.fetchall():
            found[table] = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.close()
    assert described() == found


def test_every_row_says_when_and_where() -> None:
    """Every table that grows with training has a cursor, a step and a segment."""
    for table, columns in described().items():
        if table not in ("migrations", "segments", "leases"):
            assert columns[0] == "id", table
            assert {"step", "segment"} <= set(columns), table


def test_migrations_are_applied_once_however_many_come_at_once(tmp_path: Path) -> None:
    """Several processes may open a new database together. SQLite refuses one of them about once in ten databases
    when nobody waits, hence forty."""

    def open_and_close(path: Path) -> int:
        connection = open_database(path, RUN_MIGRATIONS)
        count = connection.execute("SELECT COUNT(*) FROM migrations").fetchone()[0]
        connection.close()
        return int(count)

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            path = tmp_path / f"{number}.db"
            assert set(pool.map(open_and_close, [path] * 16)) == {len(RUN_MIGRATIONS)}


def test_a_migration_happens_wholly_or_not(tmp_path: Path) -> None:
    """One that fails in the middle leaves nothing of itself."""
    path = tmp_path / "x.db"
    with pytest.raises(sqlite3.OperationalError):
        open_database(path, ("CREATE TABLE a (b INTEGER); CREATE TABLE a (b INTEGER);",))
    connection = open_database(path, ("CREATE TABLE a (b INTEGER);", "ALTER TABLE a ADD COLUMN c REAL;"))
    assert [row["name"] for row in connection.execute("PRAGMA table_info(a)")] == ["b", "c"]
    connection.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    """A reader's connection refuses to change anything, and makes no database where there is none."""
    assert read_database(tmp_path / "none.db") is None
    assert not (tmp_path / "none.db").exists()
    open_database(tmp_path / "a.db", RUN_MIGRATIONS).close()
    connection = read_database(tmp_path / "a.db")
    assert connection is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM steps")
    connection.close()
