"""The command line: its JSON is one line, its errors one sentence, its exit statuses those of the design."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldframe import __version__
from coldframe.cli import VERBS, flags, load
from coldframe.run.paths import RunFolder
from tests.commands import Commands, commands

PLAN_FIELDS = {
    "depth", "width", "num_layers", "num_heads", "head_dim", "vocab_size", "context", "num_parameters",
    "total_batch_tokens", "device_batch", "num_steps", "total_tokens", "peak_memory_bytes", "fits", "reasons",
}  # fmt: skip


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs."""
    yield from commands(capsys)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there_and_explains_itself(coldframe: Commands, name: str) -> None:
    """The table points at what exists; --help says what the verb does and names every flag."""
    verb = VERBS[name]
    assert callable(load(verb.function))
    answer = coldframe(*name.split(), "--help")
    assert answer.status == 0
    assert verb.does.split(",")[0] in " ".join(answer.out.split())
    for flag in flags()[name]:
        assert flag.replace("_", "-") in answer.out or flag in ("run", "paths"), flag


def test_overview(coldframe: Commands) -> None:
    """Without a verb: what there is."""
    for words in ([], ["--help"], ["help"]):
        answer = coldframe(*words)
        assert answer.status == 0
        assert all(name in answer.out for name in VERBS)
    assert coldframe("--version").out.split() == ["coldframe", __version__]


@pytest.mark.parametrize("words, said, hint", [
    (["trian"], "no verb 'trian'", "'train'"),
    (["tokenizer"], "needs one more word", "tokenizer train"),
    (["train"], "--run", "--help"),
    (["train", "--run", "a", "--dept", "3"], "--dept", "--depth"),
    (["train", "--run", "a", "--steps", "many"], "--steps", "--help"),
    (["plan", "--device", "gpu"], "'gpu'", "--help"),
    (["plan", "--set", "depth=3"], "not section.key=value", "train.sample_every"),
    (["plan", "--set", "plan.dpeth=3"], "'dpeth'", "'depth'"),
    (["plan", "--depth", "0"], "depth cannot be 0", "1 to 128"),
    (["plan", "--steps", "-3"], "num_steps cannot be -3", "positive"),
    (["plan", "--steps", "9" * 200], "num_steps is too large", "1,000,000,000"),
    (["plan", "--memory", "lots"], "'lots'", "8GB"),
    (["plan", "--recipe", "none.toml"], "no recipe", "recipes/"),
    (["explore", "--port", "99999"], "port cannot be 99999", "65535"),
    (["explore", "--port", "-1"], "port cannot be -1", "65535"),
    (["tokenizer", "train", "--vocab-size", "3"], "vocabulary of 3", "ask for 264"),
    (["tokenizer", "train", "--vocab-size", "9" * 30], "too large", "ask for 264"),
    (["train", "--run", "../a"], "'../a'", "letters"),
    (["train", "--run", "a", "--stop-at", "-1"], "-1", "0 or more"),
    (["pause", "../../etc"], "'../../etc'", "letters"),
    (["extend", "a/b", "--steps", "3"], "'a/b'", "letters"),
    (["chat", "..", "-p", "x"], "'..'", "letters"),
    (["resume", "nobody"], "no run 'nobody'", "--runs"),
    (["chat", "nobody", "-p", "x"], "no run 'nobody'", "--runs"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)  # fmt: skip
def test_wrong_usage(coldframe: Commands, tmp_path: Path, words: list[str], said: str, hint: str) -> None:
    """Status 2, one line that says what is wrong and what to do, as JSON too; and nothing was made."""
    runs = ["--runs", tmp_path] if words[0] in ("train", "pause", "extend", "chat", "resume") else []
    answer = coldframe(*words, *runs, "--json")
    assert answer.status == 2
    assert said in answer.error["message"]
    assert hint in answer.error["advice"]
    assert list(tmp_path.iterdir()) == []
    assert coldframe(*words, *runs).status == 2


def test_a_number_of_steps_that_makes_no_sense_is_wrong_usage(coldframe: Commands, tmp_path: Path) -> None:
    """Of a run that is there; nothing is asked of it."""
    folder = RunFolder(tmp_path / "a")
    folder.create()
    folder.plan_file.write_text("[plan]\nnum_steps = 12\n")
    for steps in (0, -5, 10**12):
        answer = coldframe("extend", "a", "--runs", tmp_path, "--steps", steps, "--json")
        assert answer.status == 2
        assert f"not {steps}" in answer.error["message"] and "--steps" in answer.error["advice"]
    assert not folder.database.exists() and list(folder.requests.iterdir()) == []


def test_plan_as_json(coldframe: Commands) -> None:
    """The fields that others rely on, each derived one with its reason; and as a table for people."""
    answer = coldframe("plan", "--depth", "4", "--device", "cpu", "--memory", "3GB", "--json")
    assert answer.status == 0
    assert len(answer.out.splitlines()) == 1
    found = answer.json
    assert set(found) >= PLAN_FIELDS
    assert found["fits"] is True
    assert found["free_memory_bytes"] <= 3 << 30
    assert all(found["reasons"][name] for name in PLAN_FIELDS - {"reasons"})
    table = coldframe("plan", "--depth", "4", "--device", "cpu").out
    assert all(name in table for name in PLAN_FIELDS - {"reasons"})


def test_plan_that_does_not_fit_is_an_answer(coldframe: Commands) -> None:
    """Planning what does not fit is not an error; it says so."""
    answer = coldframe("plan", "--depth", "12", "--device", "cpu", "--memory", "600MB", "--json")
    assert answer.status == 0
    assert answer.json["fits"] is False


def test_doctor_as_json(coldframe: Commands, tmp_path: Path) -> None:
    """The fields that others rely on."""
    answer = coldframe("doctor", "--runs", tmp_path, "--json")
    found = answer.json
    assert answer.status == (0 if found["ok"] else 1)
    assert found["checks"]
    assert all({"name", "ok", "detail", "advice"} <= set(check) for check in found["checks"])


def test_what_the_system_refuses_is_one_line(coldframe: Commands, tmp_path: Path) -> None:
    """A file where a folder must be, a folder where a file must be, a database that is none: no traceback, and JSON."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "runs" / "odd").mkdir(parents=True)
    (tmp_path / "runs" / "odd" / "run.toml").write_text("x")
    (tmp_path / "runs" / "odd" / "run.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("some words and some more " * 40)
    for words in (
        ("stop", "odd", "--runs", tmp_path / "runs"),
        ("train", "--run", "a", "--runs", tmp_path / "file", "--depth", "1"),
        ("tokenizer", "train", tmp_path / "text", "--vocab-size", "300", "--out", tmp_path / "text"),
    ):
        answer = coldframe(*words, "--json")
        assert answer.status in (1, 2), words
        assert answer.error["message"]
        assert "Traceback" not in answer.err
        assert str(tmp_path) in answer.err or "database" in answer.err
        assert answer.err.strip().splitlines()[-1].startswith("coldframe: ")


def test_reader_that_goes_away() -> None:
    """`coldframe plan | head -1` ends without a traceback."""
    command = f"{sys.executable} -m coldframe plan --depth 2 --device cpu | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.stderr == ""
