"""Lengthening a schedule, finished or running, and what a run without anything left to do answers."""

from __future__ import annotations

import time

from coldframe.run.lock import holder
from coldframe.run.paths import RunFolder
from coldframe.run.requests import new_request, send
from coldframe.run.view import RunView
from tests.train.garden import END, STEP, Garden
from tests.train.running import PATIENCE


def rates(garden: Garden, folder: RunFolder) -> list[float]:
    """The schedule's multiplier at each step."""
    return garden.bench.series(folder.name)["learning_rate"]


def test_extending_a_finished_run(garden: Garden) -> None:
    """It goes on to the new end; what was learned before keeps its rates; shorter is refused."""
    folder = garden.copy("garden-straight")
    before = garden.bench.series(folder.name)
    for steps, words in ((END, "would not lengthen"), (3, "would not lengthen")):
        answer = garden.ask("extend", folder, "--steps", steps)
        assert (answer.status, answer.json["outcome"]) == (1, "refused")
        assert words in answer.json["detail"]
    answer = garden.ask("extend", folder, "--steps", 20)
    assert (answer.status, answer.json["outcome"]) == (0, "applied")
    answer = garden.train(folder)
    assert (answer.json["step"], answer.json["status"]) == (20, "done")
    after = garden.bench.series(folder.name)
    assert {name: values[:END] for name, values in after.items()} == before
    assert max(rates(garden, folder)[END:]) > rates(garden, folder)[END - 1]
    assert all(
        one > other for one, other in zip(rates(garden, folder)[END:], rates(garden, folder)[END + 1 :], strict=False)
    )


def test_extending_a_running_one(garden: Garden) -> None:
    """Taken between two steps: from there on the new schedule, before it the old, through a later resume too."""
    folder = garden.copy()
    before = rates(garden, folder)
    send(folder, new_request("extend", {"num_steps": 18}))
    send(folder, new_request("extend", {"num_steps": 16}))
    answer = garden.train(folder, "--stop-at", 9)
    assert answer.json["status"] == "stopped"
    assert [row["outcome"] for row in garden.rows(folder, "outcomes")] == ["applied", "refused"]
    answer = garden.train(folder)
    assert (answer.json["step"], answer.json["status"]) == (18, "done")
    assert rates(garden, folder)[:STEP] == before
    straight = garden.bench.series("garden-straight")["learning_rate"]
    assert rates(garden, folder)[STEP:END] != straight[STEP:END]
    assert rates(garden, folder)[-1] < rates(garden, folder)[STEP]


def test_nothing_is_left_to_resume(garden: Garden) -> None:
    """A finished run says how to lengthen it; a lengthened one waits to go on, as a stopped one does."""
    folder = garden.copy("garden-straight")
    answer = garden.ask("resume", folder)
    assert (answer.status, answer.json["outcome"]) == (1, "refused")
    assert "coldframe extend" in answer.json["detail"]
    garden.ask("extend", folder, "--steps", END + 2)
    view = RunView(folder)
    assert view.status().status == "stopped"
    answer = garden.bench.ask("resume", folder.name)  # in a process of its own, which leaves the trainer behind
    assert (answer.status, answer.json["outcome"]) == (0, "applied"), answer.said
    deadline = time.monotonic() + PATIENCE
    while view.status().step < END + 2 or holder(folder.lock) is not None:
        assert time.monotonic() < deadline, view.status()
        time.sleep(0.05)
    assert view.status().status == "done"
    view.close()
