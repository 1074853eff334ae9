"""Where things stand in a run folder, and which names a run may have."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from coldframe.errors import RunNameError, RunNotFoundError, did_you_mean
from coldframe.run.durable import fsync_folder
from coldframe.run.lock import holder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: What stands beside the runs: what they share, and the explorer's database with SQLite's own files.
RESERVED = frozenset(
    {"corpus", "shards", "tokenizers", *(f"conversations.db{end}" for end in ("", "-wal", "-shm", "-journal"))}
)


def check_run_name(name: str) -> str:
    """Give the name back when it is a plain one; a name must not climb out of the runs folder.

    Raises:
        RunNameError: for anything but letters, digits, dot, dash and underscore (at most 64, not starting with a dot).
    """
    if not _NAME.fullmatch(name):
        raise RunNameError(
            f"{name!r} cannot be the name of a run",
            advice="use letters, digits, '.', '-' and '_' (at most 64, beginning with a letter or digit)",
        )
    if name.endswith(".json"):  # a page's twin has its address and this ending
        raise RunNameError(f"{name!r} cannot be the name of a run", advice="leave the ending .json out")
    if name in RESERVED:
        raise RunNameError(f"{name!r} is kept for what runs share", advice="choose another name")
    return name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run; creates nothing by itself."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: its folder's name."""
        return self.path.name

    @property
    def runs(self) -> Path:
        """The folder of all runs, which also holds the shards and tokenizers that runs share."""
        return self.path.parent

    @property
    def plan_file(self) -> Path:
        """The resolved plan, TOML."""
        return self.path / "run.toml"

    @property
    def database(self) -> Path:
        """What the trainer recorded, SQLite."""
        return self.path / "run.db"

    @property
    def explorer_database(self) -> Path:
        """What readers wrote, SQLite."""
        return self.path / "explorer.db"

    @property
    def requests(self) -> Path:
        """Requests waiting for the trainer, one JSON file each."""
        return self.path / "requests"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints' folder."""
        return self.path / "checkpoints"

    @property
    def live(self) -> Path:
        """The published weights' folder."""
        return self.path / "live"

    @property
    def lock(self) -> Path:
        """Who trains."""
        return self.path / "trainer.lock"

    @property
    def log(self) -> Path:
        """What a trainer started in the background prints."""
        return self.path / "trainer.log"

    @property
    def tokenizer(self) -> Path:
        """The run's own copy of its tokenizer."""
        return self.path / "tokenizer.json"

    @property
    def corpus_report(self) -> Path:
        """What became of its text before it was read, JSON."""
        return self.path / "corpus.json"

    @property
    def exists(self) -> bool:
        """Whether a run was ever planned here."""
        return self.plan_file.is_file()

    @property
    def is_there(self) -> bool:
        """Whether there is something to look at: a run, or one whose text a trainer is still preparing."""
        return self.exists or holder(self.lock) is not None

    def create(self) -> None:
        """Make the folder and its parts, so that their names survive a power cut."""
        for folder in (self.path, self.requests, self.checkpoints, self.live):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.path, self.runs):
            fsync_folder(folder)


def run_folder(name: str, runs: Path | str = "runs") -> RunFolder:
    """The folder of a run that may not exist yet.

    Raises:
        RunNameError: when the name is not a plain one.
    """
    return RunFolder(Path(runs) / check_run_name(name))


def find_run(name: str, runs: Path | str = "runs") -> RunFolder:
    """The folder of a run that exists.

    Raises:
        RunNameError: when the name is not a plain one.
        RunNotFoundError: when there is no such run, with the nearest names.
    """
    folder = run_folder(name, runs)
    if not folder.is_there:
        raise RunNotFoundError(
            f"no run {name!r} under {os.fspath(runs)!r}",
            advice=did_you_mean(name, [run.name for run in list_runs(runs)]) + " (another folder: --runs FOLDER)",
        )
    return folder


def list_runs(runs: Path | str = "runs") -> list[RunFolder]:
    """All runs under a folder, by name."""
    root = Path(runs)
    if not root.is_dir():
        return []
    folders = (RunFolder(path) for path in root.iterdir() if _is_run_name(path.name))
    return sorted((folder for folder in folders if folder.is_there), key=lambda folder: folder.name)


def _is_run_name(name: str) -> bool:
    try:
        return bool(check_run_name(name))
    except RunNameError:
        return False
