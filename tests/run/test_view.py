"""The reader's side: which row stands for a step, what buckets keep, how a run stands while it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder, StepRow, Telemetry
from coldframe.run.view import TABLES, RunView, buckets

STEPS = st.lists(st.integers(1, 12), max_size=12)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run."""
    made = RunFolder(tmp_path / "a")
    made.create()
    made.plan_file.write_text("[plan]\nnum_steps = 90\n")
    return made


@pytest.fixture
def recorder(folder: RunFolder) -> Iterator[Recorder]:
    """Its writer."""
    made = Recorder(folder)
    yield made
    made.close()


@pytest.fixture
def view(folder: RunFolder) -> Iterator[RunView]:
    """Its reader."""
    made = RunView(folder)
    yield made
    made.close()


def begin(recorder: Recorder, step: int) -> int:
    """A new segment."""
    return recorder.begin_segment(
        start_step=step, reason="start", checkpoint=None, code_version="", environment={"torch": "2"}, changed={}
    )


def row(step: int, loss: float) -> StepRow:
    """A step."""
    return StepRow(
        step=step,
        train_loss=loss,
        learning_rate=1.0,
        grad_norm=0.5,
        clip_scale=1.0,
        num_tokens=10 * step,
        next_row=step,
        seconds=0.1,
        tokens_per_second=100.0,
        grad_norms={"head": 0.25},
        update_norms={"mlp": 0.125},
    )


def test_nothing_is_there_yet(view: RunView) -> None:
    """Before the trainer wrote anything, every question has an answer."""
    assert view.status().status == "planned"
    assert view.last("events") is None
    assert view.rows("steps") == []
    assert view.metrics(["train_loss"])["train_loss"].size == 0
    assert set(view.cursor()) == set(TABLES)


def test_metrics_grow_with_the_run(recorder: Recorder, view: RunView) -> None:
    """Columns that were read are read on, not again; what was not measured is NaN."""
    begin(recorder, 0)
    recorder.steps([row(1, 5.0), row(2, 4.0)])
    found = view.metrics(["train_loss", "grad_norm_head", "update_norm_head"])
    assert found["step"].tolist() == [1, 2]
    assert found["grad_norm_head"].tolist() == [0.25, 0.25]
    assert np.isnan(found["update_norm_head"]).all()
    recorder.steps([row(3, 3.0)])
    assert view.metrics(["train_loss"])["train_loss"].tolist() == [5.0, 4.0, 3.0]
    assert view.metrics(["seconds", "train_loss"])["seconds"].size == 3
    with pytest.raises(KeyError, match="no column 'los'"):
        view.metrics(["los"])


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=4))
def test_the_newest_segments_row_stands_for_a_step(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[int]]
) -> None:
    """However segments overlap, each step appears once, in order, as the newest segment that trained it wrote it."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "a")
    folder.create()
    recorder, view = Recorder(folder), RunView(folder)
    expected: dict[int, float] = {}
    for steps in segments:
        number = begin(recorder, min(steps, default=1) - 1)
        for step in sorted(set(steps)):
            expected[step] = 100.0 * number + step
        recorder.steps([row(step, expected[step]) for step in sorted(set(steps))])
        found = view.metrics(["train_loss"])  # also while it grows
        assert dict(zip(found["step"].tolist(), found["train_loss"].tolist(), strict=True)) == expected
        assert found["step"].tolist() == sorted(expected)
    recorder.close()
    view.close()


CURVE = arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6) | st.just(float("nan")))


@given(CURVE, st.integers(1, 50))
def test_buckets_keep_the_extremes(y: np.ndarray, points: int) -> None:
    """At most so many buckets; the least and the greatest value survive, and every mean lies between its extremes."""
    x = np.arange(len(y))
    found = buckets(x, y, points)
    assert all(len(column) == len(found["x"]) for column in found.values())
    assert len(found["x"]) <= max(points, 1)
    assert np.all(np.diff(found["x"]) > 0)
    assert found["x"][0] == 0
    if np.isnan(y).all():
        assert np.isnan(found["mean"]).all()
        return
    assert np.nanmin(found["min"]) == np.nanmin(y)
    assert np.nanmax(found["max"]) == np.nanmax(y)
    measured = ~np.isnan(found["mean"])
    slack = 1e-9 * np.nanmax(np.abs(y))
    assert np.all(found["mean"][measured] >= found["min"][measured] - slack)
    assert np.all(found["mean"][measured] <= found["max"][measured] + slack)


def test_status_is_what_was_said_held_against_who_lives(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """Said to train while nobody holds the lock is dead; stopped stays stopped; silence is stale."""
    begin(recorder, 0)
    recorder.step = 12
    recorder.heartbeat("training", "", Telemetry(memory_bytes=5))
    assert (view.status().status, view.status().step, view.status().num_steps) == ("dead", 12, 90)
    with TrainerLock(folder.lock):
        status = view.status()
        assert (status.status, status.stale) == ("training", False)
        assert status.holder is not None
        recorder._connection.execute("UPDATE heartbeats SET time = time - 100")
        assert view.status().stale
    recorder.heartbeat("stopped", "at step 12", Telemetry())
    assert (view.status().status, view.status().message) == ("stopped", "at step 12")


def test_rows_are_read_behind_a_cursor(recorder: Recorder, view: RunView) -> None:
    """Oldest first behind an id, or the newest few; JSON comes back as what it was."""
    begin(recorder, 0)
    for number in range(5):
        recorder.event("test", f"event {number}", detail={"number": number})
    first = view.rows("events", limit=2)
    assert [event["detail"]["number"] for event in first] == [0, 1]
    assert [event["detail"]["number"] for event in view.rows("events", after=first[-1]["id"], limit=2)] == [2, 3]
    assert [event["detail"]["number"] for event in view.rows("events", limit=2, newest=True)] == [3, 4]
    assert view.rows("segments")[0]["environment"] == {"torch": "2"}
    assert view.row("events", first[0]["id"]) == first[0]
    assert view.cursor()["events"] == 5


def test_a_run_made_again_under_the_same_name(folder: RunFolder, view: RunView) -> None:
    """A database that was deleted and made anew is noticed, its columns too."""
    for loss in (5.0, 7.0):
        for path in folder.path.glob("run.db*"):
            path.unlink()
        recorder = Recorder(folder)
        begin(recorder, 0)
        recorder.steps([row(1, loss)])
        assert view.metrics(["train_loss"])["train_loss"].tolist() == [loss]
        recorder.close()
