"""The Python API reads what the trainer's recorder wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

import coldframe
from coldframe.errors import RunNotFoundError
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import run_folder
from coldframe.run.record import Recorder, StepRow


def test_a_run_is_read_as_columns_and_rows(tmp_path: Path) -> None:
    folder = run_folder("a", tmp_path)
    folder.create()
    folder.plan_file.write_text("[plan]\nnum_steps = 3\n", encoding="utf-8")
    with TrainerLock(folder.lock):
        recorder = Recorder(folder)
        recorder.begin_segment(
            start_step=0, reason="start", checkpoint=None, code_version="x", environment={}, changed={}
        )
        recorder.steps(_step(number, loss) for number, loss in ((1, 5.0), (2, 4.0), (3, 3.0)))
        for number in range(1500):  # more than one read gives at once
            recorder.event("note", f"event {number}")
        recorder.close()
    with coldframe.open_run(tmp_path / "a") as run:
        assert run.plan["plan"]["num_steps"] == 3
        assert run.metrics(["train_loss"])["train_loss"].tolist() == [5.0, 4.0, 3.0]
        assert [row["message"] for row in run.rows("events")] == [f"event {number}" for number in range(1500)]
        assert [row["reason"] for row in run.rows("segments")] == ["start"]
        assert run.status.holder is None


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="no run 'b'"):
        coldframe.open_run(tmp_path / "b")


def _step(step: int, loss: float) -> StepRow:
    return StepRow(
        step=step, train_loss=loss, learning_rate=1.0, grad_norm=1.0, clip_scale=1.0, num_tokens=step * 10,
        next_row=step, seconds=0.1, tokens_per_second=100.0,
    )  # fmt: skip
