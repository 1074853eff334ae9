"""Every error a user can meet, as one tree.

    ColdframeError                  something went wrong; exit status 1
    +-- UsageError                  what was asked for cannot be asked for; exit status 2
    |   +-- SettingsError           a recipe, flag or value that makes no sense
    |   +-- RunNameError            a run name that is not a plain name
    |   +-- RunNotFoundError        no such run
    |   +-- ReportNotFoundError     no such report of a corpus
    +-- SourceError                 a text source is missing, empty or unreadable
    +-- TeacherError                a teacher model does not answer, or not as it should
    +-- TokenizerError              a tokenizer is missing, damaged or does not match
    +-- ShardError                  a shard is missing, half-written or damaged
    +-- CheckpointError             no whole checkpoint, or a damaged one
    +-- ResumeError                 the settings of a run changed in a way that would break it
    +-- LockError                   somebody else trains this run
    +-- RequestError                a request that cannot be carried out
    +-- MemoryFitError              the plan does not fit the memory that is free
    +-- DiskFullError               no room left where a run writes
    +-- FileError                   a file, folder or database that the system does not let us use
    +-- ContextFullError            a conversation longer than the model's context
    +-- ServeError                  the explorer cannot serve (port in use, address refused)
    +-- DependencyError             an optional package or program that this needs is not installed
    +-- TrainingError               training cannot go on (a non-finite loss)
    +-- HaltedError                 a gate stopped the run; exit status 3

A message says what happened and with which value; `advice` says what to do next. `assert` is for our own bugs.
"""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterable


class ColdframeError(Exception):
    """Something went wrong that the user can do something about."""

    exit_status = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    @property
    def kind(self) -> str:
        """The error's name in JSON: the class name without its ending."""
        return type(self).__name__.removesuffix("Error")

    def as_dict(self) -> dict[str, str]:
        """The object that `--json` and the API give for a failure."""
        return {"kind": self.kind, "message": self.message, "advice": self.advice}

    def __str__(self) -> str:
        end = "" if self.advice.endswith(("?", ".", ")")) else "."
        return f"{self.message}. {self.advice}{end}" if self.advice else self.message


class UsageError(ColdframeError):
    """What was asked for cannot be asked for."""

    exit_status = 2


class SettingsError(UsageError):
    """A recipe, flag or value that makes no sense."""


class RunNameError(UsageError):
    """A run name that is not a plain name."""


class RunNotFoundError(UsageError):
    """No run of that name."""


class ReportNotFoundError(UsageError):
    """No report of that name, or none of this run's corpus."""


class SourceError(ColdframeError):
    """A text source is missing, empty or unreadable."""


class CorpusError(ColdframeError):
    """Work on a corpus that could not go on; what was made of it stays."""


class TeacherError(ColdframeError):
    """A teacher model that does not answer, or not as it should; what it answered before stays."""


class TokenizerError(ColdframeError):
    """A tokenizer is missing, damaged or does not match."""


class ShardError(ColdframeError):
    """A shard is missing, half-written or damaged."""


class CheckpointError(ColdframeError):
    """No whole checkpoint, or a damaged one."""


class ResumeError(ColdframeError):
    """The settings of a run changed in a way that would break it."""


class LockError(ColdframeError):
    """Somebody else trains this run."""


class RequestError(ColdframeError):
    """A request that cannot be carried out."""


class MemoryFitError(ColdframeError):
    """The plan does not fit the memory that is free."""


class FileError(ColdframeError):
    """A file, folder or database that the system does not let us use."""


class DiskFullError(ColdframeError):
    """No room left where a run writes."""


class ContextFullError(ColdframeError):
    """A conversation longer than the model's context."""


class ServeError(ColdframeError):
    """The explorer cannot serve."""


class DependencyError(ColdframeError):
    """An optional package or program that this needs is not installed."""


class TrainingError(ColdframeError):
    """Training cannot go on."""


class HaltedError(ColdframeError):
    """A gate stopped the run."""

    exit_status = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known names, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"known: {', '.join(known)}" if known else "none is known"


def of_the_system(error: OSError | sqlite3.DatabaseError) -> FileError:
    """What the system refused, in one line."""
    if isinstance(error, sqlite3.DatabaseError):
        return FileError(
            f"a database cannot be used: {error}", advice="restore the run's run.db from a copy, or move it aside"
        )
    path = error.filename2 or error.filename  # of a rename, where to
    name = f"{path}: " if path else ""
    return FileError(f"{name}{error.strerror or error}", advice="check that path, its permissions and the disk")
