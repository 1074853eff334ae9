"""Control: what is taken, refused and answered between two steps; nothing that somebody drops can stop the trainer."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder
from coldframe.run.requests import new_request, send, waiting
from coldframe.run.view import RunView
from coldframe.train.control import Control


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """A trainer's control over an empty run that it holds the lock of."""
    folder = RunFolder(tmp_path / "a")
    folder.create()
    with TrainerLock(folder.lock):
        recorder = Recorder(folder)
        recorder.begin_segment(
            start_step=7, reason="start", checkpoint=None, code_version="", environment={}, changed={}
        )
        yield Control(folder, recorder)
        recorder.close()


def outcomes(control: Control) -> list[dict[str, Any]]:
    """What was recorded of requests."""
    view = RunView(control.folder)
    try:
        return view.rows("outcomes")
    finally:
        view.close()


def ask(control: Control, verb: str, **arguments: int) -> str:
    """Drop a request; gives its id."""
    request = new_request(verb, arguments)
    send(control.folder, request)
    return request.id


def test_nothing_wanted(control: Control) -> None:
    """No request, no signal: go on."""
    decision = control.decide()
    assert (decision.checkpoint, decision.leave, decision.extend_to) == ("", "", None)


def test_a_request_is_answered_by_the_act_and_not_before(control: Control) -> None:
    """Taken means nothing yet: the file stays and no outcome stands until the act says so."""
    asked = ask(control, "checkpoint")
    assert control.decide().checkpoint == "request"
    assert outcomes(control) == []
    assert len(waiting(control.folder)) == 1
    control.answer("checkpoint", "applied", "wrote step-7")
    [row] = outcomes(control)
    assert (row["request"], row["outcome"], row["step"], row["detail"]) == (asked, "applied", 7, "wrote step-7")
    assert waiting(control.folder) == []
    assert control.decide().checkpoint == ""


def test_stop_outweighs_pause(control: Control) -> None:
    """Asked for both, the run stops."""
    ask(control, "pause")
    ask(control, "stop")
    assert control.decide().leave == "stop"


@pytest.mark.parametrize("paused, refused", [(False, {"resume"}), (True, {"pause", "checkpoint", "extend"})])
def test_what_makes_no_sense_now_is_refused_at_once(control: Control, paused: bool, refused: set[str]) -> None:
    """A training run cannot be woken; a paused one neither paused, saved nor extended."""
    for verb in ("resume", "pause", "checkpoint", "stop"):
        ask(control, verb)
    ask(control, "extend", num_steps=50)
    control.decide(paused=paused)
    found = outcomes(control)
    assert {row["verb"] for row in found} == refused
    assert {row["outcome"] for row in found} == {"refused"}


def test_each_extension_has_its_own_answer(control: Control) -> None:
    """Two at once, one of which makes no sense: one is applied, the other refused."""
    first, second = ask(control, "extend", num_steps=50), ask(control, "extend", num_steps=3)
    decision = control.decide()
    assert (decision.extend_to, decision.extend_request) == (50, first)
    control.answer("extend", "applied", "50 steps", only=first)
    decision = control.decide()
    assert (decision.extend_to, decision.extend_request) == (3, second)
    control.answer("extend", "refused", "shorter", only=second)
    assert [(row["request"], row["outcome"]) for row in outcomes(control)] == [(first, "applied"), (second, "refused")]


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.json", b"not json"),
        ("b.json", b'{"id": "b", "verb": "explode"}'),
        ("c.json", b'{"id": "c", "verb": "extend", "arguments": {"num_steps": -4}}'),
        ("d.json", b'{"id": "d", "verb": "pause", "arguments": {"num_steps": 4}}'),
        ("e.json", b'{"id": "\\ud800", "verb": "stop"}'),
        ("f.json", b'{"id": "f", "verb": "stop", "time": Infinity}'),
        (os.fsdecode(b"g\xff.json"), b"{}"),
        ("h" * 240 + ".json", b"[]"),
    ],
)
def test_nonsense_leaves_a_refusal_and_changes_nothing(control: Control, name: str, content: bytes) -> None:
    """A file of nonsense is refused with a reason that names it, and taken away."""
    (control.folder.requests / name).write_bytes(content)
    decision = control.decide()
    assert (decision.checkpoint, decision.leave, decision.extend_to) == ("", "", None)
    [row] = outcomes(control)
    assert row["outcome"] == "refused"
    assert row["detail"]
    assert waiting(control.folder) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    content=st.binary(max_size=40)
    | st.fixed_dictionaries(
        {
            "id": st.text(max_size=4),
            "verb": st.sampled_from(["pause", "stop", "extend", "fly"]),
            "time": st.floats(),
            "why": st.text(max_size=4),
            "arguments": st.dictionaries(st.text(max_size=9), st.integers()),
        }
    )
    .map(json.dumps)
    .map(str.encode)
)
def test_no_file_stops_the_trainer(control: Control, content: bytes) -> None:
    """Any file at all is taken or refused."""
    (control.folder.requests / "any.json").write_bytes(content)
    before = len(outcomes(control))
    control.decide()
    for verb in ("pause", "stop", "extend"):
        control.answer(verb, "applied", "")
    assert len(outcomes(control)) == before + 1
    assert waiting(control.folder) == []


def test_the_same_file_by_hand_twice(control: Control) -> None:
    """Whoever writes `stop.json` by hand may do so again: each time has its outcome."""
    for _ in range(2):
        (control.folder.requests / "stop.json").write_text('{"id": "stop", "verb": "stop"}')
        assert control.decide().leave == "stop"
        control.answer("stop", "applied", "stopped")
    assert len(outcomes(control)) == 2
    assert outcomes(control)[0]["request"] == "stop"


@pytest.mark.parametrize("verb", ["stop", "pause", "checkpoint"])
def test_what_an_earlier_trainer_was_asked_is_not_done_by_the_next(control: Control, verb: str) -> None:
    """A request left behind by a trainer that died must not stop the one that was started since.

    One that comes now is taken, whatever its file's time says: a clock may have been set back, and a file may have been
    written long before it got its name.
    """
    left = ask(control, verb)
    control = Control(control.folder, control.recorder, earlier=waiting(control.folder))
    came = ask(control, verb)
    for path in waiting(control.folder):
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    decision = control.decide()
    assert decision.leave or decision.checkpoint
    [row] = outcomes(control)
    assert (row["request"], row["outcome"]) == (left, "refused")
    assert "earlier trainer" in row["detail"]
    control.answer(verb, "applied", "done")
    assert [row["request"] for row in outcomes(control)] == [left, came]


def test_who_asks_to_pause_and_then_to_go_on_gets_the_later_wish(control: Control) -> None:
    """Both came between the same two steps: nothing pauses, and both outcomes say what happened."""
    ask(control, "pause")
    ask(control, "resume")
    assert control.decide().leave == ""
    assert [(row["verb"], row["outcome"]) for row in outcomes(control)] == [("pause", "refused"), ("resume", "applied")]
    assert waiting(control.folder) == []


def test_signals_set_flags_and_nothing_else(control: Control) -> None:
    """SIGUSR1 wants a checkpoint, SIGTERM and Ctrl-C the end; afterwards the handlers are what they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)}
    with control.signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        decision = control.decide()
        assert (decision.checkpoint, decision.leave) == ("signal", "")
        assert control.decide().checkpoint == ""
        for number in (signal.SIGTERM, signal.SIGINT):
            control.stop_wanted.clear()
            os.kill(os.getpid(), number)
            assert control.decide().leave == "stop"
    assert {number: signal.getsignal(number) for number in before} == before


def test_what_cannot_be_read_is_refused(control: Control) -> None:
    """A file that the system gives an error for instead of its bytes: no reason to stop."""
    (control.folder.requests / "odd.json").symlink_to("/proc/self/mem")
    assert control.decide().leave == ""
    [row] = outcomes(control)
    assert (row["request"], row["outcome"]) == ("odd", "refused")
    assert list(control.folder.requests.iterdir()) == []
