"""What providers do instead of answering: it is tried again, or is one clear line, and no answer is lost."""

from __future__ import annotations

import json
import socket
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from coldframe.corpus.teacher.answers import ANSWERS
from coldframe.corpus.teacher.ledger import LEDGER
from tests.corpus.teacher.conftest import Scenes
from tests.corpus.teacher.provider import Act, Body, Handler, answer_to, completion, providing, well
from tests.corpus.teacher.recipes import KEY, contents, documents, ledger, provenance, recipe, spent

WHOLE = json.dumps(completion("A: Of the bread.\nB: It has what the baker wants.")).encode()


def cut(handler: Handler) -> None:
    """Half an answer, and then the connection ends."""
    handler.begin(len(WHOLE))
    handler.wfile.write(WHOLE[: len(WHOLE) // 2])
    handler.close_connection = True


def huge(handler: Handler) -> None:
    """More than any answer can be."""
    handler.begin(1 << 30)
    while True:
        handler.wfile.write(b" " * (1 << 16))


def endless(handler: Handler) -> None:
    """A byte now and then, for ever."""
    handler.begin(1 << 30)
    while not threading.Event().wait(0.05):
        handler.wfile.write(b" ")


def slow(handler: Handler) -> None:
    """Nothing for longer than anybody waits."""
    threading.Event().wait(1.5)
    handler.give(WHOLE)


FAULTS = {
    "too many requests": (429, lambda handler: handler.give({"error": {"message": "slow down"}}, 429)),
    "failure": (500, lambda handler: handler.give(b"oh no", 500, kind="text/plain")),
    "overloaded": (503, lambda handler: handler.give(b"", 503, headers={"Retry-After": "0"})),
    "cut off": ("broken-connection", cut),
    "hung up": ("broken-connection", lambda handler: setattr(handler, "close_connection", True)),
    "slow": ("timeout", slow),
    "endless": ("timeout", endless),
    "huge": ("too-long", huge),
    "no JSON": ("no-json", lambda handler: handler.give(b'{"choices": [', kind="application/json")),
    "a web page": ("no-json", lambda handler: handler.give(b"<html>Welcome</html>", kind="text/html")),
    "deep JSON": ("no-json", lambda handler: handler.give(b"[" * 100_000)),
    "another shape": ("no-message", lambda handler: handler.give({"choices": []})),
    "a list": ("no-message", lambda handler: handler.give(b"[1]")),
    "content of no kind": ("no-message", lambda handler: handler.give({"choices": [{"message": {"content": 3}}]})),
    "error in a success": ("no-message", lambda handler: handler.give({"error": {"code": 502}})),
}
FREE = (429, 500, 503)
"""Statuses that no provider bills."""


def test_every_fault_is_tried_again(scenes: Scenes, tmp_path: Path) -> None:
    """Each request meets a fault of its own first; what may have been billed counts with what it costs at most."""
    faults, met = list(FAULTS.values()), dict[int, int]()

    def act(handler: Handler, body: Body, number: int) -> None:
        with handler.server.lock:
            first = body["seed"] not in met
            place = met.setdefault(body["seed"], len(met))
        if first:
            faults[place][1](handler)
        else:
            well(handler, body, number)

    out = tmp_path / "out" / "scenes"
    with providing(act) as provider:
        found = scenes(recipe(provider.url, count=len(FAULTS), concurrency=len(FAULTS), timeout_seconds=1.0))
    assert found.status == 0, found.err
    assert (found.json["documents"], found.json["dropped"]) == (len(FAULTS), {})
    assert {one["features"]["attempts"] for one in provenance(out)} == {2}
    ended = [line for line in ledger(out) if line["event"] == "ended" and line["status"] != 200]
    assert sorted(str(line["status"]) for line in ended) == sorted(str(status) for status, _ in faults)
    sent = {line["number"]: line["tokens"] for line in ledger(out) if line["event"] == "sent"}
    for line in ended:
        assert line["tokens"] == (0 if line["status"] in FREE else sent[line["number"]]), line
    assert [line["retries"] for line in ledger(out) if line.get("status") == 200] == [1] * len(FAULTS)
    assert found.json["budget_left"]["tokens"] == 1_000_000 - spent(out)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(scenes: Scenes, tmp_path: Path, form: str) -> None:
    def act(handler: Handler, body: Body, number: int) -> None:
        if number > 1:
            return well(handler, body, number)
        wait = "1.5" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
        return handler.give({}, 429, headers={"Retry-After": wait})

    with providing(act) as provider:
        assert scenes(recipe(provider.url, count=3, concurrency=1)).status == 0
    assert provider.times[1] - provider.times[0] > 1.4
    assert len(provider.times) == 4


def test_a_long_wait_is_left_to_people(scenes: Scenes) -> None:
    with providing(lambda handler, body, number: handler.give({}, 429, headers={"Retry-After": "7200"})) as provider:
        error = scenes(recipe(provider.url, count=2)).error
    assert error["kind"] == "Teacher" and "7,200 seconds" in error["message"]


def test_nobody_there(scenes: Scenes) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        answer = scenes(recipe(url, retries=1))
    assert answer.status == 1
    assert answer.error["kind"] == "Teacher"
    assert "nobody answers at 127.0.0.1:" in answer.error["message"] and "asked 2 times" in answer.error["message"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "is the key in TEACHER_KEY right?"), (402, "nothing left"), (403, "may not use"), (404, "a model 'small'"),
     (302, "teacher.url"), (500, "start again"), (400, "teacher.model")],
)  # fmt: skip
def test_turned_down_loses_nothing(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    """Three answers, then no more; the key, which the server says back, stands nowhere."""
    monkeypatch.setenv("TEACHER_KEY", KEY)
    out = tmp_path / "out" / "scenes"
    settings = {"concurrency": 1, "api_key_env": "TEACHER_KEY", "retries": 0}

    def turned_down(handler: Handler, body: Body, number: int) -> None:
        said = {"error": {"message": f"wrong: {handler.headers['Authorization']}"}}
        handler.give(said, status, headers={"Location": "http://127.0.0.1:1/"} if status == 302 else None)

    def act(handler: Handler, body: Body, number: int) -> None:
        if number > 3:
            return turned_down(handler, body, number)
        return handler.give(completion(f"{answer_to(body)} {handler.headers['Authorization']}"))

    with providing(turned_down) as provider:
        answer = scenes(recipe(provider.url, count=6, **settings))
        assert answer.status == 1 and advice in answer.error["advice"], answer.err
        assert answer.error["kind"] == "Teacher" and f"{status}: wrong: Bearer [key]" in answer.error["message"]
        assert KEY not in answer.out + answer.err
    with providing(act) as provider:
        answer = scenes(recipe(provider.url, count=6, **settings))
        assert provider.sent_headers[0]["Authorization"] == f"Bearer {KEY}"
    refused = status == 400  # of one request; with others answered it is left out
    assert answer.status == (0 if refused else 1)
    assert len(documents(out)) == (6 if refused else 3)
    assert sum(one["reason"] == "refused-request" for one in provenance(out)) == (3 if refused else 0)
    assert documents(out)[0]["messages"][-1]["content"].endswith("Bearer [key]")
    with providing() as provider:
        found = scenes(recipe(provider.url, count=6, **settings)).json
    assert (found["requests"], found["cached"], found["kept"]) == (3, 3, 6)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if KEY.encode() in path.read_bytes()] == []


def test_a_key_that_is_not_there(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    error = scenes(recipe("http://127.0.0.1:9/v1", api_key_env="TEACHER_KEY")).error
    assert error["kind"] == "Settings" and "export TEACHER_KEY" in error["advice"]


@pytest.mark.parametrize("file", [LEDGER, ANSWERS])
def test_a_line_that_was_cut_off_is_left_out(scenes: Scenes, tmp_path: Path, file: str) -> None:
    out = tmp_path / "out" / "scenes"
    with providing() as provider:
        assert scenes(recipe(provider.url, count=3)).status == 0
        before, whole = contents(out), (out / file).read_bytes()
        (out / file).write_bytes(whole[:-9])
        found = scenes(recipe(provider.url, count=3)).json
        assert found["requests"] == (1 if file == ANSWERS else 0)
        assert contents(out) == before
        broken = whole.replace(b'{"', b"{", 1)
        (out / file).write_bytes(broken)
        error = scenes(recipe(provider.url, count=3)).error
    assert error["kind"] == "Teacher" and "line 1 of" in error["message"]
    assert (out / file).read_bytes() == broken and contents(out) == before


def test_who_bills_too_much_is_stopped(scenes: Scenes, tmp_path: Path) -> None:
    """A provider whose answers are longer than max_tokens: the ledger says so, and nothing more is asked."""
    act: Act = lambda handler, body, number: handler.give(completion(answer_to(body), usage=(100, 9_000)))  # noqa: E731
    with providing(act) as provider:
        found = scenes(recipe(provider.url, count=20, budget_tokens=10_000, concurrency=1)).json
    assert found["stopped_by_budget"] and len(provider.bodies) == 2
    assert found["budget_left"]["tokens"] == 0
