"""The command line inside the test's own process: no new interpreter for a question of a few milliseconds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from coldframe.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        found = json.loads(self.out.splitlines()[-1])
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, str]:
        """The error that `--json` gave; nothing else was on standard output, and a person got one line of it."""
        assert len(self.out.splitlines()) == 1, self.out
        error: dict[str, str] = self.json["error"]
        assert set(error) == {"kind", "message", "advice"}
        assert "\n" not in error["message"]
        told = [line for line in self.err.splitlines() if line.startswith("coldframe: ")]
        assert len(told) == 1, self.err
        assert error["message"] in told[0]
        assert "Traceback" not in self.err
        return error


class Commands:
    """Runs verbs; `coldframe("plan", "--depth", "4")`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Answer:
        """Run one verb."""
        self._capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:  # --help
            status = int(leaving.code or 0)
        captured = self._capsys.readouterr()
        return Answer(status=status, out=captured.out, err=captured.err)


def commands(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs; what they change of the process (threads, precision, logging) is put back."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    logger = logging.getLogger("coldframe")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield Commands(capsys)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)
