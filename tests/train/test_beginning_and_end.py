"""Before there is a model, and after the last step: what is seen, asked and signalled then is not lost either."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from coldframe.run.lock import TrainerLock, holder
from coldframe.run.paths import find_run, list_runs
from coldframe.run.requests import new_request, send, waiting
from coldframe.run.view import RunView
from tests.train.garden import END, RECIPE, STEP, Garden
from tests.train.running import Bench


@pytest.fixture
def long_text(tmp_path: Path) -> Path:
    """A recipe over text of which no word occurs twice: its tokenizer takes several seconds."""
    draw = random.Random(3)
    (tmp_path / "text").mkdir()
    words = ("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(700_000))
    (tmp_path / "text" / "long.txt").write_text(" ".join(words))
    recipe = tmp_path / "long.toml"
    recipe.write_text(RECIPE.replace("vocab_size = 300", "vocab_size = 4000"))
    return recipe


def test_a_run_is_seen_while_its_text_is_prepared_and_can_be_stopped(bench: Bench, long_text: Path) -> None:
    """It stands among the runs before run.toml does; SIGTERM leaves with 0 and `stopped`, and no run is left over."""
    trainer = bench.start("long", recipe=long_text)
    trainer.wait_for(lambda: holder(bench.run("long").lock))
    assert "long" in [run.name for run in list_runs(bench.runs)]
    view = RunView(find_run("long", bench.runs))
    assert (view.status().status, view.status().step, view.plan()) == ("preparing", 0, {})
    assert not view.folder.exists
    trainer.signal(signal.SIGTERM)
    ended = trainer.end()
    assert (ended.status, ended.json["status"], ended.json["step"]) == (0, "stopped", 0), ended.said
    assert "Traceback" not in ended.said
    assert "long" not in [run.name for run in list_runs(bench.runs)]
    with pytest.raises(FileNotFoundError):
        view.plan()
    view.close()


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_stop_is_taken_while_the_text_is_prepared(bench: Bench, long_text: Path, ranks: int) -> None:
    """Whoever asks need not wait for the first step; the name is free again, and what the next trainer is not asked."""
    name = f"called-off-{ranks}"
    trainer = bench.start(name, recipe=long_text, ranks=ranks)
    trainer.wait_for(lambda: holder(bench.run(name).lock))
    asked = bench.ask("stop", name)
    assert asked.json["outcome"] == "applied", asked.said
    assert "before the first step" in asked.json["detail"]
    ended = trainer.end()
    assert (ended.status, ended.json["status"]) == (0, "stopped"), ended.said
    assert not bench.run(name).is_there
    assert waiting(bench.run(name)) == []


def test_a_new_trainer_is_not_judged_by_the_last_ones_heartbeat(garden: Garden) -> None:
    """While a resume loads, the run is preparing: not silent for hours, and not what it was."""
    folder = garden.copy()
    view = RunView(folder)
    assert view.status().status == "stopped"
    with TrainerLock(folder.lock):
        status = view.status()
        assert (status.status, status.stale, status.step) == ("preparing", False, STEP)
    view.close()


def test_a_request_that_waits_for_a_finished_run_is_answered(garden: Garden) -> None:
    """An extension goes on from the end; what asks for less is refused, and nothing stays without an answer."""
    folder = garden.copy("garden-straight")
    for num_steps in (END + 4, END - 1):
        send(folder, new_request("extend", {"num_steps": num_steps}))
    answer = garden.train(folder)
    assert (answer.json["status"], answer.json["step"]) == ("done", END + 4)
    assert [row["outcome"] for row in garden.rows(folder, "outcomes")] == ["applied", "refused"]
    assert waiting(folder) == []


def test_what_is_asked_during_the_last_measurements_is_answered(bench: Bench, tmp_path: Path) -> None:
    """An extension that comes then lengthens the run, and a stop behind it stops it there."""
    recipe = tmp_path / "late.toml"
    prompts = ", ".join(f'"The frame {number}"' for number in range(30))
    text = RECIPE.replace("sample_every = 0", f"sample_every = 1000\nsample_prompts = [{prompts}]")
    recipe.write_text(text.replace("context = 32", "context = 256").replace("= 128", "= 256"))
    (tmp_path / "text").symlink_to(bench.folder / "text")
    trainer = bench.start("late", recipe=recipe)
    trainer.wait_for(lambda: bench.run("late").exists and "sampling" in statuses(bench, "late"))
    send(bench.run("late"), new_request("extend", {"num_steps": END + 3}))
    ended = trainer.end()
    assert (ended.status, ended.json["status"], ended.json["step"]) == (0, "done", END + 3), ended.said
    assert [row["outcome"] for row in bench.rows("late", "outcomes")] == ["applied"]


def statuses(bench: Bench, name: str) -> list[str]:
    """Everything that the trainer said it was doing."""
    return [row["status"] for row in bench.rows(name, "heartbeats")]


def test_a_prompt_that_is_longer_than_the_context(garden: Garden, bench: Bench, tmp_path: Path) -> None:
    """A new run refuses it before it trains; given to an old one it costs that sample, and never the training."""
    prompt = "light fell upon warm soil " * 20
    recipe = tmp_path / "prompt.toml"
    recipe.write_text(RECIPE.replace("[train]", f'[train]\nsample_prompts = ["The", "{prompt}"]'))
    (tmp_path / "text").symlink_to(bench.folder / "text")
    words = ("train", "--run", "prompt", "--runs", bench.runs, "--json", "--recipe", recipe)
    answer = garden.coldframe(*words)
    assert answer.status == 2 and "the context 32" in answer.error["message"]
    assert not bench.run("prompt").exists
    folder = garden.copy()
    answer = garden.train(
        folder, "--set", "train.sample_every=4", "--set", f'train.sample_prompts=["The", "{prompt}"]'
    )
    assert (answer.status, answer.json["status"]) == (0, "done"), answer.err
    assert {row["prompt"] for row in garden.rows(folder, "samples")} == {"The"}
    events = [row["message"] for row in garden.rows(folder, "events") if row["kind"] == "sample"]
    assert events and all("longer than the context" in message for message in events)


def test_two_resumes_of_a_dead_run(garden: Garden, bench: Bench) -> None:
    """One trainer starts; whoever asked second is told so, with that trainer's process."""
    folder = garden.copy()
    garden.coldframe("extend", folder.name, "--runs", folder.runs, "--steps", 4000)
    first, second = bench.start_verb("resume", folder.name), bench.start_verb("resume", folder.name)
    ended = sorted((first.end(), second.end()), key=lambda one: str(one.json["outcome"]))
    trains = holder(folder.lock)
    assert trains is not None
    assert [one.json["outcome"] for one in ended] == ["applied", "refused"], [one.said for one in ended]
    assert f"trainer {trains.pid} started" in ended[0].json["detail"]
    assert str(trains.pid) in ended[1].json["detail"]
    assert bench.ask("stop", folder.name).json["outcome"] == "applied"


@pytest.mark.parametrize("verb", ["stop", "resume", "pause", "chat", "extend"])
def test_a_damaged_run_file_is_one_line_whatever_is_asked(garden: Garden, verb: str) -> None:
    folder = garden.copy()
    folder.plan_file.write_text(folder.plan_file.read_text()[:200])
    answer = garden.ask(verb, folder, *(["--steps", 99] if verb == "extend" else ["-p", "x"] if verb == "chat" else []))
    assert answer.status == 2
    assert "run.toml" in answer.error["message"]
