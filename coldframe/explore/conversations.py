"""Conversations with models, kept in runs/conversations.db: what was said, by which step's weights, and how drawn."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from coldframe.errors import FileError
from coldframe.run.schema import open_database, read_database, room_in_database

_M001 = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('chat', 'continue')),
    title TEXT NOT NULL,
    started REAL NOT NULL,
    time REAL NOT NULL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    text TEXT NOT NULL,
    time REAL NOT NULL,
    step INTEGER,
    weights TEXT,
    sampling TEXT NOT NULL,
    finish TEXT,
    num_tokens INTEGER,
    tokens_per_second REAL
);
CREATE INDEX messages_by_conversation ON messages (conversation, id);
CREATE INDEX conversations_by_run ON conversations (run, time)
"""
MIGRATIONS = (_M001,)
_TITLE_CHARACTERS = 80

Role = Literal["user", "assistant"]
Mode = Literal["chat", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn; what the model said carries the step of its weights and how it was sampled."""

    id: int = 0
    role: Role
    text: str
    time: float = 0.0
    step: int | None = None
    weights: str | None = None
    sampling: dict[str, Any]
    finish: str | None = None
    num_tokens: int | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation as the list shows it."""

    id: int
    run: str
    mode: Mode
    title: str
    started: float
    time: float
    num_messages: int


class Conversations:
    """The store; made when the first conversation begins, so that looking leaves no file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def begin(self, run: str, mode: Mode, first: str) -> int:
        """Open a conversation, titled by its first words, and give its id; all writing may raise DiskFullError."""
        title = " ".join(first.split())[:_TITLE_CHARACTERS] or "(from nothing)"
        now = time.time()
        with self._lock, room_in_database(self._path):
            done = self._open().execute(
                "INSERT INTO conversations (run, mode, title, started, time) VALUES (?, ?, ?, ?, ?)",
                (run, mode, title, now, now),
            )
            assert done.lastrowid is not None
            return done.lastrowid

    def say(self, conversation: int, message: Message) -> int | None:
        """Add a turn and give its id; None when the conversation has been forgotten since."""
        now = time.time()
        with self._lock, room_in_database(self._path):
            connection = self._open()
            done = connection.execute(
                "INSERT INTO messages (conversation, role, text, time, step, weights, sampling, finish, num_tokens,"
                " tokens_per_second) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM conversations WHERE id = ?)",
                (
                    conversation,
                    message.role,
                    message.text,
                    now,
                    message.step,
                    message.weights,
                    json.dumps(message.sampling),
                    message.finish,
                    message.num_tokens,
                    message.tokens_per_second,
                    conversation,
                ),
            )
            connection.execute("UPDATE conversations SET time = ? WHERE id = ?", (now, conversation))
            return done.lastrowid if done.rowcount else None

    def take_back(self, message: int) -> None:
        """Drop a turn that got no answer, so that it can be asked in another way."""
        with self._lock, room_in_database(self._path):
            self._open().execute("DELETE FROM messages WHERE id = ?", (message,))

    def drop_empty(self, id: int) -> bool:
        """Forget a conversation in which nothing is said; False when something is."""
        with self._lock, room_in_database(self._path):
            done = self._open().execute(
                "DELETE FROM conversations WHERE id = ?1"
                " AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)",
                (id,),
            )
            return done.rowcount > 0

    def listed(self, run: str | None = None, limit: int = 100) -> list[Conversation]:
        """The newest conversations, of one run or of all."""
        rows = self._read(
            "SELECT c.*, (SELECT COUNT(*) FROM messages m WHERE m.conversation = c.id) AS num_messages"
            " FROM conversations c WHERE ?1 IS NULL OR run = ?1 ORDER BY time DESC LIMIT ?2",
            (run, limit),
        )
        return [Conversation(**dict(row)) for row in rows]

    def one(self, id: int) -> Conversation | None:
        """One conversation, or None."""
        rows = self._read(
            "SELECT c.*, (SELECT COUNT(*) FROM messages m WHERE m.conversation = c.id) AS num_messages"
            " FROM conversations c WHERE id = ?",
            (id,),
        )
        return Conversation(**dict(rows[0])) if rows else None

    def messages(self, conversation: int) -> list[Message]:
        """What was said, in order."""
        rows = self._read("SELECT * FROM messages WHERE conversation = ? ORDER BY id", (conversation,))
        records = [dict(row) for row in rows]
        return [
            Message(
                **{name: value for name, value in record.items() if name != "conversation"}
                | {"sampling": json.loads(record["sampling"])}
            )
            for record in records
        ]

    def delete(self, id: int) -> bool:
        """Forget a conversation; False when there is none of that id."""
        with self._lock, room_in_database(self._path):
            connection = self._open()
            connection.execute("DELETE FROM messages WHERE conversation = ?", (id,))
            return connection.execute("DELETE FROM conversations WHERE id = ?", (id,)).rowcount > 0

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = open_database(self._path, MIGRATIONS)
            except (PermissionError, sqlite3.OperationalError) as error:
                raise FileError(
                    f"{self._path} cannot be written: {error}", advice="conversations are kept there; make it writable"
                ) from error
        return self._connection

    def _read(self, sql: str, arguments: tuple[object, ...]) -> list[sqlite3.Row]:
        with self._lock:
            if self._connection is None and not self._path.is_file():
                return []
            try:
                connection: sqlite3.Connection | None = self._open()
            except FileError:  # what was said before can still be read
                connection = read_database(self._path)
            return connection.execute(sql, arguments).fetchall() if connection is not None else []
