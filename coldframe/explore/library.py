"""The runs under one folder, held open: what every route of the explorer reads from."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from coldframe.explore.conversations import Conversations
from coldframe.explore.speakers import Speakers
from coldframe.explore.starts import Starts
from coldframe.run.paths import find_run, list_runs
from coldframe.run.view import RunView


class Library:
    """Opens each run once and keeps it; safe to share between threads."""

    def __init__(self, runs: Path | str) -> None:
        self.runs = Path(runs)
        self.conversations = Conversations(self.runs / "conversations.db")
        self.speakers = Speakers()
        self.starts = Starts()
        self.closing = asyncio.Event()
        self._views: dict[str, RunView] = {}
        self._lock = threading.Lock()

    def view(self, name: str) -> RunView:
        """The run of that name.

        Raises:
            RunNameError: when the name is not a plain one.
            RunNotFoundError: when there is no such run.
        """
        folder = find_run(name, self.runs)
        with self._lock:
            if name not in self._views:
                self._views[name] = RunView(folder)
            return self._views[name]

    def views(self) -> list[RunView]:
        """All runs, by name."""
        names = [folder.name for folder in list_runs(self.runs)]
        with self._lock:
            for gone in self._views.keys() - set(names):  # an open database would keep its room on the disk
                self._views.pop(gone).close()
        return [self.view(name) for name in names if (self.runs / name).exists()]

    def close(self) -> None:
        """Close every database and forget every model."""
        with self._lock:
            for view in self._views.values():
                view.close()
            self._views.clear()
        self.speakers.close()
        self.conversations.close()
