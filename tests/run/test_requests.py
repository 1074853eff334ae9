"""Requests: whole files, told apart from nonsense, taken back while nobody took them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import RequestError, UsageError
from coldframe.run.paths import RunFolder
from coldframe.run.requests import VERBS, new_request, read, send, waiting, withdraw


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run."""
    made = RunFolder(tmp_path / "a")
    made.create()
    return made


def test_a_request_arrives_as_it_was_sent(folder: RunFolder) -> None:
    """What is read is what was sent, in the order of sending, and half-written files are never among it."""
    sent = [new_request("checkpoint", {}, why="before lunch"), new_request("extend", {"num_steps": 500}, by="explorer")]
    for request in sent:
        send(folder, request)
    (folder.requests / ".half.json").write_text('{"id"')
    (folder.requests / "notes.txt").write_text("not a request")
    (folder.requests / "folder.json").mkdir()
    os.mkfifo(folder.requests / "pipe.json")
    assert [read(path) for path in waiting(folder)] == sent
    assert withdraw(folder, sent[0])
    assert not withdraw(folder, sent[0])
    assert [read(path) for path in waiting(folder)] == sent[1:]


def test_nothing_waits_where_no_folder_is(tmp_path: Path) -> None:
    """A run that was never created has no requests."""
    assert waiting(RunFolder(tmp_path / "none")) == []


@pytest.mark.parametrize("num_steps", [0, -5, 2.5, True, "many", None, 10**30, float("nan")])
def test_nonsense_values_are_refused(num_steps: object) -> None:
    """A number of steps that no schedule can have."""
    with pytest.raises(UsageError, match="whole number") as caught:
        new_request("extend", {"num_steps": num_steps})  # type: ignore[dict-item]
    assert caught.value.advice


@pytest.mark.parametrize(
    "verb, arguments, hint",
    [
        ("pauze", {}, "pause"),
        ("extend", {"steps": 5}, "num_steps"),
        ("pause", {"for": 5}, "none is known"),
        ("", {}, "known"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(verb: str, arguments: dict[str, int], hint: str) -> None:
    """A verb or argument that is not known."""
    with pytest.raises(UsageError) as caught:
        new_request(verb, arguments)
    assert hint in caught.value.advice


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON | st.just("x"),
        "verb": st.sampled_from(sorted(VERBS)) | JSON,
        "why": JSON,
        "by": JSON,
        "arguments": JSON | st.fixed_dictionaries({"num_steps": JSON}),
        "time": JSON | st.just(5.0),
    },
)


@given(content=st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode) | FIELDS.map(json.dumps).map(str.encode))
def test_any_file_is_a_request_or_a_clear_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever bytes stand in a request's file: a request that can be recorded, or RequestError; nothing else."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        request = read(path)
    except RequestError as error:
        assert len(error.message) < 500
        assert "\n" not in error.message
    else:
        assert request.verb in VERBS
        json.dumps([request.id, request.verb, request.by, request.why, request.arguments]).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60_000,
        b'{"id": "a", "verb": "stop", "why": "\\ud800"}',
        b'{"id": "a", "verb": "stop", "time": NaN}',
        b'{"id": "a", "verb": "stop", "why": "' + b"x" * 70_000 + b'"}',
        b"\xff\xfe",
        b"",
    ],
    ids=["deep", "half a character", "no time", "huge", "no text", "empty"],
)
def test_files_that_break_parsers(tmp_path: Path, content: bytes) -> None:
    """What JSON or SQLite would choke on is refused before it gets there."""
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RequestError):
        read(path)
