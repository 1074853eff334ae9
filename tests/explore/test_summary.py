"""The sentence on top of a run's page, for every way in which a run can stand."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from coldframe.explore.starts import Start
from coldframe.explore.summary import find_setting, summarise
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder
from coldframe.run.view import RunView
from tests.explore.made import Trainer, make_run, step_row


def test_a_planned_run_says_how_to_start_it(runs: Path) -> None:
    found = summarise(RunView(make_run(runs, "a", status=None)), None)
    assert found.state == "idle" and "coldframe train --run a" in found.sentence and found.loss is None


def test_a_training_run_says_loss_direction_speed_and_what_is_next(runs: Path) -> None:
    with Trainer(make_run(runs, "a", steps=120)) as trainer:
        view = RunView(trainer.folder)
        while (view.last("steps") or {"step": 0})["step"] < 135:
            time.sleep(0.02)
        found = summarise(view, None)
    assert found.state == "well" and found.alive
    for part in ("Training. Loss 3.", "falling (", "200 tokens/s", "next checkpoint in about", "left"):
        assert part in found.sentence
    assert found.next_checkpoint_step == 150 and found.offers == ("pause", "checkpoint", "stop")
    assert found.val_bpb is not None and (found.val_bpb.value, found.val_bpb.source) == (2.25, "all")


def test_neither_a_clock_set_back_nor_a_sleep_changes_what_is_left(runs: Path) -> None:
    """The steps' own durations count, half a second each here, and the four seconds that were spent on measuring."""
    trainer = Trainer(make_run(runs, "a", steps=40), pace=0.01)
    trainer.status = "paused"  # it holds the run and says that it trains, but writes no further step
    with trainer:
        for jump in (-86400.0, -3600.0, 86400.0):
            _tell_times(trainer.folder, jump)
            found = summarise(RunView(trainer.folder), None)
            assert found.next_checkpoint_seconds == pytest.approx(10 * 0.6)
            assert found.seconds_left == pytest.approx(160 * 0.6)
            assert "next checkpoint in about 6 s; about 2 min left" in found.sentence


def _tell_times(folder: RunFolder, jump: float) -> None:
    """Row times with a jump of the clock amid the steps; heartbeats with one evaluation of 4 s, and the same jump."""
    now = time.time()
    with sqlite3.connect(folder.database) as database:
        database.execute("UPDATE steps SET time = ?1 + step / 2.0 + (step > 20) * ?2", (now, jump))
        database.execute("DELETE FROM heartbeats")
        for step, ago, status in (
            (0, 60.0 + jump, "training"),
            (20, 50.0 + jump, "training"),  # the clock was set, or the machine slept, from here on
            (20, 50.0, "evaluating"),
            (20, 46.0, "training"),
            (40, 0.0, "training"),
        ):
            database.execute(
                "INSERT INTO heartbeats (step, segment, time, pid, host, status, message)"
                " VALUES (?, 1, ?, 1, '', ?, '')",
                (step, now - ago, status),
            )
    database.close()


def test_a_dead_trainer_is_told_with_the_step_it_can_go_on_from(runs: Path) -> None:
    folder = make_run(runs, "a", steps=60, status="training")
    recorder = Recorder(folder)
    recorder.step = 50
    recorder.checkpoint(
        folder="step-00000050",
        num_bytes=1,
        seconds=1,
        stall_seconds=0,
        weights_sha256="0",
        reason="schedule",
        val_bpb=None,
    )
    recorder.close()
    found = summarise(RunView(folder), None)
    assert found.state == "critical" and found.status == "dead" and found.offers == ("resume",)
    assert "died at step 60" in found.sentence and "checkpoint of step 50" in found.sentence


def test_a_loss_that_is_not_a_number_is_critical(runs: Path) -> None:
    folder = make_run(runs, "a", steps=30)
    recorder = Recorder(folder)
    recorder.steps([step_row(31, loss=float("nan"))])
    recorder.close()
    trainer = Trainer(folder)
    trainer.status = "paused"  # it says that it trains, but writes no further step
    with trainer:
        found = summarise(RunView(folder), None)
    assert found.state == "critical" and "the newest loss is not a number" in found.sentence and found.loss is None


def test_the_ends_of_runs_have_their_own_words(runs: Path) -> None:
    words = {
        "stopped": "Stopped at step 30 of 200",
        "done": "Done at step 30",
        "failed": "Failed at step 30",
        "halted": "Halted by a gate",
    }
    for status, sentence in words.items():
        planned = 30 if status == "done" else 200
        found = summarise(RunView(make_run(runs, status, steps=30, planned=planned, status=status)), None)
        assert sentence in found.sentence and found.offers == (() if status == "done" else ("resume",))


def test_a_start_is_told_until_it_holds_the_run(runs: Path) -> None:
    view = RunView(make_run(runs, "a", steps=30))
    starting = Start(pid=7, since=time.time() - 3, state="starting", detail="")
    assert (
        summarise(view, starting).sentence.startswith("Starting a trainer (process 7")
        and summarise(view, starting).offers == ()
    )
    failed = Start(pid=7, since=time.time(), state="failed", detail="no room left on the disk")
    assert "no room left on the disk" in summarise(view, failed).sentence and summarise(view, failed).offers == (
        "resume",
    )


def test_settings_are_found_in_the_outermost_table() -> None:
    plan = {
        "plan": {"context": 512, "reasons": {"clip_norm": "because"}},
        "train": {"clip_norm": 1.0, "deep": {"context": 1}},
    }
    assert (
        find_setting(plan, "context") == 512
        and find_setting(plan, "clip_norm") == 1.0
        and find_setting(plan, "none") is None
    )
