"""A stream that breaks is picked up where it broke: nothing missed, nothing doubled."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from coldframe.run.record import Recorder
from tests.explore.conftest import Served
from tests.explore.made import Trainer, make_run, step_row

Serve = Callable[..., Served]


def follow(client: httpx.Client, path: str, last: str | None = None) -> Iterator[tuple[str, Any, str | None]]:
    """Events of a stream as (kind, data, id)."""
    headers = {"last-event-id": last} if last is not None else {}
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        kind, data, id = "", "", None
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                id = value
            elif name == "data":
                data = value
            elif not line and data:
                yield kind, json.loads(data), id
                kind, data, id = "", "", None


def test_a_dropped_line_misses_nothing_and_doubles_nothing(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=10)
    client = serve(runs).client
    cursor = client.get("/runs/a.json").json()["cursor"]
    steps: list[int] = []
    events: list[str] = []
    with Trainer(folder, pace=0.005) as trainer:
        for drop in range(6):
            trainer.act = lambda recorder, drop=drop: recorder.event("note", f"number {drop}")
            seen = 0
            for kind, data, id in follow(client, "/runs/a/stream", last=cursor):
                assert id is not None
                cursor = id
                steps += data["step"] if kind == "steps" else []
                events += [row["message"] for row in data] if kind == "events" else []
                seen += 1
                if seen > drop % 4:
                    break  # in the middle of a round of events, as a line breaks
            time.sleep(0.05)
    newest = client.get("/runs/a.json").json()["counts"]
    for kind, data, id in follow(client, "/runs/a/stream", last=cursor):
        steps += data["step"] if kind == "steps" else []
        events += [row["message"] for row in data] if kind == "events" else []
        if f"steps={newest['steps']},evals" in str(id).replace("source_losses=0,", "") and kind == "status":
            break
    assert steps == list(range(11, newest["steps"] + 1))
    assert events == [f"number {drop}" for drop in range(6)]


def test_what_changes_in_place_is_told_too(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=10)
    recorder = Recorder(folder)
    recorder.checkpoint(
        folder="step-1", num_bytes=1, seconds=1, stall_seconds=0, weights_sha256="0", reason="schedule", val_bpb=None
    )
    client = serve(runs).client
    cursor = client.get("/runs/a.json").json()["cursor"]
    recorder.checkpoint_contains("step-1", "nothing")
    recorder.close()
    kind, data, _ = next(follow(client, "/runs/a/stream", last=cursor))
    assert kind == "checkpoints_changed" and data[0]["contains"] == "nothing"


def test_a_run_made_anew_under_its_name_resets_the_reader(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=10)
    client = serve(runs).client
    assert next(follow(client, "/runs/a/stream?after=steps=11"))[0] == "reset"
    *_, cursor = next(follow(client, "/runs/a/stream"))
    shutil.rmtree(runs / "a")
    make_run(runs, "a", steps=50)  # which has come further than the old one had
    kind, _, fresh = next(follow(client, "/runs/a/stream", last=cursor))
    assert kind == "reset"
    assert next(follow(client, "/runs/a/stream", last=fresh))[0] == "status"


def test_without_a_cursor_it_begins_now_and_from_zero_with_everything(runs: Path, serve: Serve) -> None:
    make_run(runs, "a", steps=2500)
    client = serve(runs).client
    assert next(follow(client, "/runs/a/stream"))[0] == "status"
    steps: list[int] = []
    for kind, data, _ in follow(client, "/runs/a/stream?after="):
        if kind == "status":
            break
        steps += data["step"] if kind == "steps" else []
    assert steps == list(range(1, 2501))
    assert client.get("/runs/a/stream?after=nonsense").status_code == 400


def test_the_list_tells_new_changed_and_gone_runs(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=5)
    line = follow(serve(runs).client, "/stream")
    assert next(line)[:2] == ("all", {"names": ["a"]})
    kind, data, _ = next(line)
    assert kind == "run" and data["summary"]["step"] == 5
    make_run(runs, "b", status=None)
    kind, data, _ = next(line)
    assert kind == "run" and data["summary"]["name"] == "b"
    recorder = Recorder(folder)
    recorder.steps([step_row(6)])
    recorder.close()
    assert next(line)[1]["summary"]["step"] == 6
    (runs / "b" / "run.toml").unlink()
    assert next(line)[:2] == ("gone", {"name": "b"})
