"""Talking to a run: a real small model, its newest weights, its step beside every answer."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from coldframe.explore.speakers import Speakers, newest_weights
from coldframe.generate.load import sizes_of_run
from coldframe.run.leases import lease_is_held
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.published import publish
from coldframe.run.record import Recorder
from coldframe.run.view import RunView
from tests.explore.conftest import Served
from tests.explore.made import Trainer, make_model, make_run, weights
from tests.limits import files_no_larger_than

Serve = Callable[..., Served]
OpenPage = Callable[..., Page]
ReadOnly = Callable[[Path], Path]


def turn(client: httpx.Client, name: str, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    """A whole turn's events."""
    with client.stream("POST", f"/runs/{name}/chat", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        blocks = "".join(answer.iter_text()).strip().split("\n\n")
    return [(kind[7:], json.loads(data[6:])) for kind, data in (block.split("\n") for block in blocks)]


def publish_anew(folder: RunFolder, recorder: Recorder, step: int, seed: int) -> None:
    recorder.step = step
    publish(folder, recorder, weights(sizes_of_run(RunView(folder).plan(), folder.name), seed), reason="lease")


def test_a_turn_streams_and_is_kept_with_step_and_settings(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=40)
    make_model(folder).close()
    client = serve(runs).client
    events = turn(client, "a", text="The garden", sampling={"max_tokens": 8, "seed": 7})
    assert [kind for kind, _ in events][0] == "start" and events[-1][0] == "end"
    start, end = events[0][1], events[-1][1]
    assert (start["step"], start["kind"], start["mode"], end["finish"], end["num_tokens"]) == (
        40,
        "checkpoint",
        "continue",
        "length",
        8,
    )
    assert end["time_to_first_token_seconds"] > 0 and end["seed"] == 7
    text = "".join(data["text"] for kind, data in events if kind == "token")
    talk = client.get(f"/conversations/{start['conversation']}.json").json()
    assert [(said["role"], said["text"]) for said in talk["messages"]] == [("user", "The garden"), ("assistant", text)]
    assert talk["messages"][1]["sampling"]["max_tokens"] == 8 and talk["messages"][1]["step"] == 40
    again = turn(client, "a", text="The garden", sampling={"max_tokens": 8, "seed": 7})
    assert "".join(data["text"] for kind, data in again if kind == "token") == text
    assert [talk["title"] for talk in client.get("/conversations.json?run=a").json()["conversations"]] == [
        "The garden",
        "The garden",
    ]


def test_newer_weights_speak_from_the_next_turn_on(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=40)
    recorder = make_model(folder)
    client = serve(runs).client
    assert (
        client.get("/runs/a/chat.json").json()["detail"]
        == "checkpoint of step 40 (nothing newer is published)"
    )
    first = turn(client, "a", text="The", sampling={"max_tokens": 4, "seed": 1})
    publish_anew(folder, recorder, step=60, seed=5)
    answer = client.post("/runs/a/chat/lease").json()
    assert (answer["kind"], answer["step"], answer["loaded"]) == ("live", 60, True)
    second = turn(
        client, "a", text=" glass", conversation=first[0][1]["conversation"], sampling={"max_tokens": 4, "seed": 1}
    )
    assert (second[0][1]["step"], second[0][1]["kind"]) == (60, "live")
    assert second[0][1]["conversation"] == first[0][1]["conversation"]
    recorder.close()


def test_at_most_two_models_stay_in_memory(runs: Path) -> None:
    views = []
    for name in ("a", "b", "c"):
        folder = make_run(runs, name, steps=40)
        make_model(folder).close()
        views.append(RunView(folder))
    speakers = Speakers()
    first = speakers.speaker(views[0])
    assert speakers.speaker(views[0]) is first
    for view in views[1:]:
        speakers.speaker(view)
    loaded = [speakers.is_loaded(view, found) for view in views if (found := newest_weights(view))]
    assert loaded == [False, True, True]


def test_a_taught_model_is_asked_through_the_template(runs: Path, serve: Serve) -> None:
    make_model(make_run(runs, "a", steps=40), kind="sft").close()
    client = serve(runs).client
    assert client.get("/runs/a/chat.json").json()["mode"] == "chat"
    assert turn(client, "a", text="Who are you?", sampling={"max_tokens": 4})[0][1]["mode"] == "chat"
    empty = client.post("/runs/a/chat", json={"text": "  "})
    assert empty.status_code == 400 and empty.json()["error"]["message"] == "there is nothing to answer"


def test_the_first_question_waits_for_the_first_weights(runs: Path, serve: Serve) -> None:
    """A trainer that has just begun publishes within seconds, because the question asks it to."""
    folder = make_run(runs, "a", steps=0)
    make_model(folder, step=0).close()
    shutil.rmtree(folder.checkpoints / "step-00000000")
    client = serve(runs).client

    def publish_when_asked(recorder: Recorder) -> None:
        if lease_is_held(folder):
            publish_anew(folder, recorder, recorder.step, seed=1)
        else:
            trainer.act = publish_when_asked

    with Trainer(folder) as trainer:
        trainer.act = publish_when_asked
        events = turn(client, "a", text="The", sampling={"max_tokens": 2})
    assert events[0][1]["kind"] == "live" and events[-1][0] == "end"


def test_what_cannot_be_answered_says_why(runs: Path, serve: Serve) -> None:
    make_run(runs, "bare", steps=40)
    folder = make_run(runs, "a", steps=40)
    make_model(folder).close()
    client = serve(runs).client
    assert client.post("/runs/bare/chat", json={"text": "x"}).status_code == 409
    assert client.post("/runs/a/chat", json={"text": "x", "conversation": 99}).status_code == 400
    assert client.post("/runs/a/chat", json={"text": "x", "sampling": {"temperature": -1}}).status_code == 422
    full = turn(client, "a", text="The garden grows. " * 40)
    assert full[-1][0] == "error" and full[-1][1]["kind"] == "ContextFull" and full[-1][1]["advice"]
    talk = turn(client, "a", text="The", sampling={"max_tokens": 2})[-1][1]["conversation"]
    full = turn(client, "a", text="The garden grows. " * 40, conversation=talk)
    assert full[-1][0] == "error" and full[-1][1]["conversation"] == talk  # which goes on with a shorter question
    assert turn(client, "a", text="The", conversation=talk, sampling={"max_tokens": 2})[-1][0] == "end"
    assert len(client.get(f"/conversations/{talk}.json").json()["messages"]) == 4
    assert client.post("/runs/a/chat", json={"text": "x", "sampling": {"top_k": 10**30}}).status_code == 422
    (folder.checkpoints / "step-00000040" / "model.safetensors").write_bytes(b"broken")
    other = serve(runs).client
    broken = turn(other, "a", text="The")
    assert broken[-1][0] == "error" and broken[-1][1]["kind"] == "Checkpoint"
    shutil.rmtree(folder.checkpoints / "step-00000040")
    assert other.get("/runs/a/chat.json").json()["ready"] is False


def test_a_conversation_that_began_with_a_failure_is_not_kept(runs: Path, serve: Serve) -> None:
    make_model(make_run(runs, "a", steps=40)).close()
    client = serve(runs).client
    for body in ({"text": "The", "which": 399}, {"text": "The garden grows. " * 40}, {"text": "", "which": 399}):
        failed = turn(client, "a", **body)
        assert failed[-1][0] == "error" and failed[-1][1]["conversation"] is None, body
        assert client.get("/conversations.json").json()["conversations"] == [], body


def test_closing_the_line_stops_the_model_and_keeps_what_it_said(runs: Path, serve: Serve) -> None:
    make_model(make_run(runs, "a", steps=40), context=4096).close()
    client = serve(runs).client
    with client.stream(
        "POST", "/runs/a/chat", json={"text": "The", "sampling": {"max_tokens": 4000, "seed": 3, "top_k": 20}}
    ) as answer:
        for line in answer.iter_lines():
            if line == "event: token":
                break
    deadline = time.monotonic() + 10
    said: list[dict[str, Any]] = []
    while len(said) < 2 and time.monotonic() < deadline:
        said = client.get("/conversations/1.json").json()["messages"]
        time.sleep(0.05)
    assert said[1]["finish"] == "stopped" and 0 < said[1]["num_tokens"] < 4000


def test_the_page_talks(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=40)
    recorder = make_model(folder, context=8192)
    served = serve(runs)
    page = open_page(f"{served.url}/runs/a")
    expect(page.locator("#talk")).to_contain_text("This model continues text")
    expect(page.locator("#speaker")).to_contain_text("checkpoint of step 40")
    page.focus("#say")
    page.keyboard.type("The garden")
    page.get_by_text("How the next token is drawn").click()
    page.get_by_label("tokens at most").fill("12")
    page.get_by_label("top k").fill("20")
    page.focus("#say")
    page.keyboard.press("Enter")
    expect(page.locator("#log .turn.assistant .meta")).to_contain_text("step 40; 12 tokens")
    publish_anew(folder, recorder, step=60, seed=5)
    expect(page.locator("#speaker")).to_contain_text("published weights of step 60")
    page.get_by_label("tokens at most").fill("8000")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#log .turn.assistant .meta").last).to_contain_text("step 60")
    page.locator("#stop-answer").click()
    expect(page.locator("#log .turn.assistant .meta").last).to_contain_text("stopped")
    deadline = time.monotonic() + 30  # the explorer keeps what was said once it has noticed that nobody listens
    while len(httpx.get(f"{served.url}/conversations/1.json").json()["messages"]) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_text("Earlier conversations").click()
    page.locator(".past button.open").first.click()
    expect(page.locator("#log .turn.user")).to_have_text("The garden")
    expect(page.locator("#log .turn.assistant")).to_have_count(2)
    recorder.close()


def test_the_page_begins_anew_after_a_beginning_that_failed(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    make_model(make_run(runs, "a", steps=40)).close()
    page = open_page(f"{serve(runs).url}/runs/a")
    page.get_by_text("How the next token is drawn").click()
    page.get_by_label("tokens at most").fill("2")
    page.locator("#say").fill("The garden grows. " * 40)
    page.locator("#send").click()
    expect(page.locator("#log .turn.assistant .meta.trouble")).to_be_visible()
    page.locator("#say").fill("The")
    page.locator("#send").click()
    expect(page.locator("#log .turn.assistant .meta").last).to_contain_text("2 tokens")


def test_the_page_holds_a_lease_only_while_somebody_talks(runs: Path, serve: Serve, open_page: OpenPage) -> None:
    folder = make_run(runs, "a", steps=40)
    make_model(folder).close()
    trainer = Trainer(folder)
    trainer.status = "paused"
    with trainer:
        page = open_page(f"{serve(runs).url}/runs/a")
        expect(page.locator("#speaker")).to_contain_text("checkpoint of step 40")
        assert not lease_is_held(folder)
        page.focus("#say")
        deadline = time.monotonic() + 10
        while not lease_is_held(folder) and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        assert lease_is_held(folder)


def test_of_a_run_that_nobody_trains_nothing_is_changed(runs: Path, serve: Serve) -> None:
    """Looked at and spoken with; nobody would publish for a lease."""
    folder = make_run(runs, "a", steps=40)
    make_model(folder).close()
    before = sorted(folder.path.rglob("*"))
    client = serve(runs).client
    assert client.get("/runs/a.json").status_code == client.get("/runs/a/chat.json").status_code == 200
    assert client.post("/runs/a/chat/lease").json()["loaded"]
    assert turn(client, "a", text="The", sampling={"max_tokens": 2})[-1][0] == "end"
    assert [path for path in sorted(folder.path.rglob("*")) if path.suffix not in (".db-wal", ".db-shm")] == before


def test_a_run_in_a_place_where_nobody_may_write(runs: Path, serve: Serve, read_only: ReadOnly) -> None:
    make_model(make_run(runs, "a", steps=40)).close()
    first = serve(runs)
    kept = turn(first.client, "a", text="The", sampling={"max_tokens": 2})[-1][1]["conversation"]
    first.close()
    client = serve(read_only(runs)).client
    for path in ("runs", "runs/a", "runs/a/chat", "runs/a/metrics", "conversations", f"conversations/{kept}"):
        assert client.get(f"/{path}.json").status_code == 200, path
    assert client.post("/runs/a/chat/lease").json()["loaded"]
    answer = client.post("/runs/a/chat", json={"text": "The"})
    assert "conversations.db cannot be written" in answer.json()["error"]["message"]


def test_on_a_full_disk_one_line_says_so(runs: Path, serve: Serve) -> None:
    folder = make_run(runs, "a", steps=5)
    make_model(folder).close()
    client = serve(runs).client
    with TrainerLock(folder.lock), files_no_larger_than(100):
        for path, body in (("/runs/a/chat/lease", {}), ("/runs/a/chat", {"text": "The garden"})):
            answer = client.post(path, json=body)
            assert answer.status_code == 507, answer.text
            assert answer.json()["error"]["kind"] == "DiskFull" and answer.json()["error"]["advice"]
    assert turn(client, "a", text="The garden")[-1][0] == "end"
