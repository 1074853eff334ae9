"""The outcome of a request is what really happened, with a trainer, without one, and while it has not got to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from tests.explore.conftest import Served
from tests.explore.made import Trainer, make_run

Serve = Callable[..., Served]


def test_a_live_trainer_answers(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    with Trainer(make_run(runs, "a", steps=5)):
        for verb in ("pause", "resume", "checkpoint", "stop"):
            answer = client.post("/runs/a/requests", json={"verb": verb, "why": "to see"})
            assert (
                answer.status_code == 200
                and answer.json()["outcome"] == "applied"
                and answer.json()["detail"] == f"{verb} done"
            )
    found = client.get("/runs/a/requests.json").json()
    assert [(row["verb"], row["by"], row["why"]) for row in found["outcomes"]][-1] == ("stop", "explorer", "to see")
    assert found["waiting"] == []


def test_a_busy_trainer_leaves_it_pending_until_it_is_taken_back(runs: Path, serve: Serve) -> None:
    client = serve(runs).client
    with Trainer(make_run(runs, "a", steps=5), answers=False):
        answer = client.post("/runs/a/requests", json={"verb": "pause", "wait_seconds": 0.2})
        assert answer.status_code == 202 and answer.json()["outcome"] == "pending"
        waits = client.get("/runs/a/requests.json").json()["waiting"]
        assert [one["id"] for one in waits] == [answer.json()["request"]]
        assert client.delete(f"/runs/a/requests/{waits[0]['id']}").json()["waiting"] == []
        assert client.delete(f"/runs/a/requests/{waits[0]['id']}").status_code == 400


def test_a_trainer_that_ends_before_it_took_a_request(runs: Path, serve: Serve) -> None:
    trainer = Trainer(make_run(runs, "a", steps=5), answers=False)
    with trainer:
        client = serve(runs).client
        ending = threading.Timer(0.5, trainer.__exit__, (None, None, None))
        ending.start()
        answer = client.post("/runs/a/requests", json={"verb": "pause", "wait_seconds": 20}).json()
        ending.join()
    assert answer["outcome"] == "refused" and "ended before it took" in answer["detail"]
    assert not list((runs / "a" / "requests").iterdir())


def test_requests_put_there_by_hand_are_taken_back_by_their_file(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=5)
    client = serve(runs).client
    asked = {"id": "../notes", "verb": "pause", "arguments": {}, "by": "me", "why": "", "time": 1.0}
    (folder.path / "notes.json").write_text("mine")
    (folder.requests / "mine.json").write_text(json.dumps(asked))
    (folder.requests / "nonsense.json").write_text("{")
    assert [one["id"] for one in client.get("/runs/a/requests.json").json()["waiting"]] == ["mine", "nonsense"]
    for id in ("mine", "nonsense"):
        assert client.delete(f"/runs/a/requests/{id}").status_code == 200
    assert not list(folder.requests.iterdir()) and (folder.path / "notes.json").read_text() == "mine"
    assert client.delete("/runs/a/requests/mine").status_code == 400


def test_with_nobody_training_there_is_nothing_to_pause(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=5)
    make_run(runs, "finished", steps=5, planned=5, status="done")
    client = serve(runs).client
    for verb in ("pause", "checkpoint", "stop"):
        answer = client.post("/runs/a/requests", json={"verb": verb})
        assert answer.status_code == 409 and answer.json()["outcome"] == "refused"
        assert answer.json()["detail"] == f"nobody trains 'a' now (stopped at step 5), so there is nothing to {verb}"
    assert not list((runs / "a" / "requests").iterdir())
    assert (
        "coldframe extend finished" in client.post("/runs/finished/requests", json={"verb": "resume"}).json()["detail"]
    )
    assert client.post("/runs/a/requests", json={"verb": "extend", "arguments": {"num_steps": 9}}).status_code == 400


def test_nonsense_is_refused_before_it_is_sent(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=5)
    client = serve(runs).client
    wrong = client.post("/runs/a/requests", json={"verb": "pauze"})
    assert wrong.status_code == 400 and "did you mean 'pause'" in wrong.json()["error"]["advice"]
    assert client.post("/runs/a/requests", json={"verb": "pause", "arguments": {"x": 1}}).status_code == 400
    assert client.post("/runs/a/requests", json={"verb": "pause", "nonsense": 1}).status_code == 422
    assert (
        client.post("/runs/a/requests", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    )


def test_resume_of_a_run_without_a_trainer_starts_one_and_tells_how_that_went(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=5)  # its plan is no plan that a trainer could follow
    client = serve(runs).client
    answer = client.post("/runs/a/requests", json={"verb": "resume", "wait_seconds": 30}).json()
    assert answer["outcome"] == "refused" and answer["detail"].startswith("the trainer could not go on: ")
    assert (runs / "a" / "trainer.log").stat().st_size > 0
    summary = client.get("/runs/a.json").json()["summary"]
    assert (
        summary["start"]["state"] == "failed"
        and "could not go on" in summary["sentence"]
        and summary["offers"] == ["resume"]
    )
