"""The chat verb on real run folders: one answer, and conversations read line by line."""

from __future__ import annotations

import io
import time

import pytest
import torch

from coldframe.errors import CheckpointError, ContextFullError, RunNotFoundError, SettingsError
from coldframe.generate.chat import ChatSettings, chat
from coldframe.generate.engine import Engine
from coldframe.generate.sampling import Sampling
from coldframe.run.checkpoints import write_checkpoint
from coldframe.run.leases import lease_is_held
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.published import publish
from coldframe.run.record import Recorder
from coldframe.tokens.chat import render_prompt
from tests.generate import tiny


def make_run(path, *, kind: str | None = None) -> RunFolder:
    folder = RunFolder(path / "rose")
    tiny.write_run(folder, kind=kind)
    weights = tiny.model(seed=10).state_dict()
    write_checkpoint(folder, 10, model=weights, optimizer={"m": torch.zeros(2)}, state={}, reason="test")
    return folder


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return make_run(tmp_path)


def settings(folder: RunFolder, **given: object) -> ChatSettings:
    return ChatSettings(**{"run": folder.name, "runs": folder.runs, "temperature": 0.0, "max_tokens": 6} | given)


def talk(folder: RunFolder, monkeypatch, lines: str, **given: object) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    heard: list[str] = []
    assert chat(settings(folder, **given), heard.append) is None
    return "".join(heard)


def expected(prompt: list[int], seed: int = 10) -> str:
    engine = Engine(tiny.model(seed=seed), tiny.tokenizer())
    return engine.generate([prompt], Sampling(temperature=0, max_tokens=6))[0].text


def test_one_answer_gives_the_fields_of_the_design(folder):
    heard: list[str] = []
    answer = chat(settings(folder, prompt="The frame"), heard.append)
    assert answer.keys() == {"text", "step", "num_tokens", "time_to_first_token_seconds", "tokens_per_second"}
    assert answer["text"] == expected(tiny.prompt("The frame")) and "".join(heard) == answer["text"] + "\n"
    assert answer["step"] == 10 and 1 <= answer["num_tokens"] <= 6 and answer["time_to_first_token_seconds"] > 0


def test_with_json_nothing_else_is_written(folder):
    heard: list[str] = []
    assert chat(settings(folder, prompt="The", json=True), heard.append)["text"] and not heard


def test_a_run_that_was_taught_to_answer_gets_the_chat_template_and_raw_does_not(tmp_path):
    folder = make_run(tmp_path, kind="sft")
    asked = render_prompt([{"role": "user", "content": "The frame"}], tiny.tokenizer())
    assert chat(settings(folder, prompt="The frame"), lambda text: None)["text"] == expected(asked)
    assert chat(settings(folder, prompt="The frame", raw=True), lambda text: None)["text"] == expected(
        tiny.prompt("The frame")
    )


def test_the_seed_decides(folder):
    def say(seed: int) -> str:
        return chat(settings(folder, prompt="The", temperature=1.0, seed=seed, json=True), lambda text: None)["text"]

    assert say(1) == say(1) != say(2)


def test_a_conversation_goes_on_from_what_was_said(folder, monkeypatch):
    heard = talk(folder, monkeypatch, "The frame\nLight\n/reset\nLight\n")
    first = expected(tiny.prompt("The frame"))
    second = expected(tiny.prompt(f"The frame{first}\nLight"))
    assert "step 10" in heard and "was not taught to answer" in heard
    parts = [first, second, "forgotten", expected(tiny.prompt("Light"))]
    at = 0
    for part in parts:
        assert part in heard[at:]
        at = heard.index(part, at) + len(part)


def test_a_space_at_the_end_of_a_beginning_does_not_stand_in_the_next_words_way(folder):
    said = [
        chat(settings(folder, prompt=text), lambda text: None)["text"]
        for text in ("The frame", "The frame ", "The frame  ")
    ]
    assert said[0] == said[1] == said[2]


def test_quiet_leaves_nothing_but_the_words(folder, monkeypatch):
    assert talk(folder, monkeypatch, "The frame\n\n", quiet=True) == expected(tiny.prompt("The frame")) + "\n"


def test_a_full_context_is_said_and_reset_helps(folder, monkeypatch):
    long = tiny.TEXT.replace("\n", " ") * 2
    heard = talk(folder, monkeypatch, f"{long}\n/reset\nThe frame\n/help\n")
    assert f"context holds {tiny.CONTEXT}" in heard and "/reset" in heard
    assert expected(tiny.prompt("The frame")) in heard
    with pytest.raises(ContextFullError):
        chat(settings(folder, prompt=long), lambda text: None)


def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("The frame\n/step\n"))
    heard: list[str] = []

    def out(text: str) -> None:
        if text and len(heard) == 3:  # in the middle of the answer
            heard.append(text)
            raise KeyboardInterrupt
        heard.append(text)

    chat(settings(folder), out)
    assert " [stopped]" in heard and "step 10" in heard[-1]


def test_between_turns_newer_weights_speak_while_a_trainer_lives(folder, monkeypatch):
    recorder = Recorder(folder)

    class Lines(io.StringIO):
        """Publishes step 20 before the second line is read, as a trainer would meanwhile."""

        count = 0

        def readline(self, *_: object) -> str:
            Lines.count += 1
            if Lines.count == 2:
                assert lease_is_held(folder)
                recorder.step = 20
                publish(folder, recorder, tiny.model(seed=20).state_dict(), reason="lease")
            return super().readline()

    threads = torch.get_num_threads()
    with TrainerLock(folder.lock):
        monkeypatch.setattr("sys.stdin", Lines("The frame\n/reset\nThe frame\n"))
        heard: list[str] = []
        chat(settings(folder), heard.append)
    recorder.close()
    torch.set_num_threads(threads)
    said = "".join(heard)
    assert said.index("step 10") < said.index("step 20")
    assert said.endswith(expected(tiny.prompt("The frame"), seed=20) + " [cut off: max_tokens]\n")


def test_without_a_trainer_no_lease_is_taken(folder, monkeypatch):
    talk(folder, monkeypatch, "The\n")
    assert not lease_is_held(folder) and not folder.explorer_database.exists()


def test_what_cannot_be_is_refused_before_anything_is_loaded(folder, tmp_path):
    for given, error in (
        ({"run": "rise"}, RunNotFoundError),
        ({"step": "soon"}, SettingsError),
        ({"prompt": None, "json": True}, SettingsError),
        ({"temperature": -1.0}, SettingsError),
        ({"threads": 0}, SettingsError),
        ({"threads": -1}, SettingsError),
        ({"threads": 10**12}, SettingsError),
        ({"step": "99"}, CheckpointError),
    ):
        with pytest.raises(error):
            chat(settings(folder, **{"prompt": "a"} | given), lambda text: None)


def test_a_run_without_weights_fails_at_once_when_nobody_trains(tmp_path):
    folder = RunFolder(tmp_path / "bare")
    tiny.write_run(folder)
    began = time.monotonic()
    with pytest.raises(CheckpointError):
        chat(settings(folder, prompt="a"), lambda text: None)
    assert time.monotonic() - began < 5
