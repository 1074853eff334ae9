"""Thinned curves keep their extremes, their axes and their gaps, as JSON and as bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from coldframe.errors import UsageError
from coldframe.explore.curves import as_bytes, as_json, curves, sparkline
from coldframe.run.record import Recorder
from coldframe.run.view import RunView
from tests.explore.made import make_run, step_row


def test_buckets_keep_extremes_and_all_three_axes(runs: Path) -> None:
    folder = make_run(runs, "a", steps=300)
    recorder = Recorder(folder)
    recorder.steps([step_row(301, loss=99.0), *map(step_row, range(302, 1001))])
    recorder.close()
    found = curves(RunView(folder), ("train_loss",), start=None, end=None, points=10)
    assert found.num_steps == 1000 and found.last_step == 1000
    assert found.columns["train_loss"]["max"].max() == 99.0
    assert len(found.axes["step"]) == 10 and found.axes["step"][0] == 1
    assert np.allclose(found.axes["tokens"], 100 * found.axes["step"])
    assert np.allclose(found.axes["hours"], found.axes["step"] * 0.5 / 3600)
    part = curves(RunView(folder), ("train_loss",), start=299, end=303, points=10)
    assert part.axes["step"].tolist() == [299, 300, 301, 302, 303]


def test_bytes_say_the_same_as_json(runs: Path) -> None:
    found = curves(
        RunView(make_run(runs, "a", steps=120)), ("train_loss", "grad_norm"), start=None, end=None, points=50
    )
    plain, packed = json.loads(as_json(found)), as_bytes(found)
    size = struct.unpack("<I", packed[:4])[0]
    head = json.loads(packed[4 : 4 + size])
    assert (4 + size) % 8 == 0 and head["last_step"] == plain["last_step"] == 120
    points, at = head["num_points"], 4 + size
    for axis in head["axes"]:
        assert np.frombuffer(packed, "<f8", points, at).tolist() == plain["axes"][axis]
        at += 8 * points
    for column in head["columns"]:
        name, kind = column.split(".")
        assert np.allclose(np.frombuffer(packed, "<f4", points, at), plain["columns"][name][kind])
        at += 4 * points
    assert at == len(packed)


def test_a_run_without_steps_has_empty_curves(runs: Path) -> None:
    for name, status in (("planned", None), ("fresh", "preparing")):
        found = curves(RunView(make_run(runs, name, status=status)), ("train_loss",), start=None, end=None, points=50)
        assert found.num_steps == 0 and json.loads(as_json(found))["columns"]["train_loss"]["mean"] == []
        assert as_bytes(found)


def test_a_step_trained_twice_counts_once_in_curve_and_sparkline(runs: Path) -> None:
    folder = make_run(runs, "a", steps=100)
    recorder = Recorder(folder)
    recorder.begin_segment(
        start_step=50, reason="resume", checkpoint="step-00000050", code_version="0", environment={}, changed={}
    )
    recorder.steps(step_row(step, loss=1.0) for step in range(51, 81))
    recorder.close()
    found = curves(RunView(folder), ("train_loss",), start=51, end=80, points=100)
    assert found.num_steps == 30 and set(found.columns["train_loss"]["mean"]) == {1.0}
    drawn = sparkline(RunView(folder), points=200)
    assert [loss for step, loss in drawn if 50 < step <= 80] == [1.0] * 30
    assert [step for step, _ in drawn] == sorted({step for step, _ in drawn})


def test_nonsense_is_refused_with_advice(runs: Path) -> None:
    view = RunView(make_run(runs, "a", steps=3))
    with pytest.raises(UsageError, match="trian_loss.*did you mean 'train_loss'"):
        curves(view, ("trian_loss",), start=None, end=None, points=10)
    with pytest.raises(UsageError, match="0 points"):
        curves(view, ("train_loss",), start=None, end=None, points=0)
