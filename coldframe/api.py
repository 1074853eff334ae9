"""The Python API: a run folder opened for reading, as notebooks and other programs want it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from coldframe.run.paths import RunFolder, find_run
from coldframe.run.view import RunStatus, RunView

if TYPE_CHECKING:
    from coldframe.generate.load import Loaded, Which


def open_run(path: str | Path) -> Run:
    """Open a run by its folder, such as "runs/demo"; needs no trainer and disturbs none.

    Raises:
        RunNameError, RunNotFoundError: when there is no run.
    """
    folder = Path(path)
    return Run(find_run(folder.name, folder.parent))


class Run:
    """A run, read: what its pages show, as columns and rows."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._view = RunView(folder)

    @property
    def plan(self) -> dict[str, Any]:
        """run.toml."""
        return self._view.plan()

    @property
    def status(self) -> RunStatus:
        """How it stands now."""
        return self._view.status()

    def metrics(self, columns: Sequence[str] = ("train_loss",)) -> dict[str, np.ndarray]:
        """Columns of `steps` as arrays in step order, `step` among them; NaN is "not measured"."""
        return self._view.metrics(columns)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table such as samples, evals, events, checkpoints; docs/run-folder.md lists them."""
        rows: list[dict[str, Any]] = []
        while more := self._view.rows(table, after=rows[-1]["id"] if rows else 0):
            rows += more
            if table == "segments":  # few, and numbered by segment
                break
        return rows

    def model(self, step: Which = "newest") -> Loaded:
        """The weights of a step ("live", "best" and "newest" too) as a model with its tokenizer."""
        from coldframe.generate.load import load_model

        return load_model(self.folder, step)

    def close(self) -> None:
        """Close the database."""
        self._view.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
