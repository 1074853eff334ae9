"""The story: train on the text that comes along, look and talk while it trains, steer it, end and resume it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coldframe.run.leases import take_lease
from tests.commands import Commands, commands
from tests.train.running import Bench, Running

SETTINGS = {
    "plan.vocab_size": 512, "plan.context": 64, "plan.total_batch_tokens": 1024, "plan.threads": 1, "explore.port": 0,
    "train.checkpoint_every": 40, "train.evaluate_every": 30, "train.evaluate_bytes": 2000, "train.sample_every": 30,
    "train.sample_tokens": 12, "train.publish_seconds": 0.2, "train.sample_prompts": "['In the beginning']",
}  # fmt: skip


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs, in this process."""
    yield from commands(capsys)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty folder; nothing is left running in it."""
    yield Bench(tmp_path)
    while Running.started:
        running = Running.started.pop()
        if running.process.poll() is None:
            running.kill()


def explorer_url(trainer: Running) -> str:
    """The address that the trainer says the explorer is open at."""
    stream = trainer.process.stderr
    assert stream is not None
    for line in stream:
        if "the explorer is open at" in line:
            return line.split()[-1].rstrip("/")
    raise AssertionError("no address was printed")


def test_the_story(bench: Bench, coldframe: Commands) -> None:
    """From nothing to a model that learned, with the explorer open, chats, requests, an end and a resume."""
    flags = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    trainer = bench.start("garden", "--depth", "2", "--steps", "2000", "--explore", *flags)
    url = explorer_url(trainer)
    folder, runs = bench.run("garden"), ["--runs", bench.runs, "--json"]
    trainer.wait_for(lambda: folder.exists and bench.newest("garden") >= 40)

    [listed] = httpx.get(f"{url}/runs.json").json()["runs"]
    assert listed["summary"]["name"] == "garden"
    summary = httpx.get(f"{url}/runs/garden.json").json()["summary"]
    assert summary["status"] in ("training", "evaluating", "sampling", "checkpointing"), summary
    assert "coldframe" in httpx.get(f"{url}/").text

    take_lease(folder, "story", "test")
    trainer.wait_for(lambda: bench.rows("garden", "published"))
    for step in ("newest", "live"):
        said = coldframe("chat", "garden", "-p", "In the beginning", "--step", step, "--max-tokens", 8, *runs)
        assert said.status == 0, said.err
        assert said.json["text"]
        assert said.json["step"] > 0
        assert said.json["num_tokens"] <= 8
        assert {"time_to_first_token_seconds", "tokens_per_second"} <= set(said.json)

    for verb in ("checkpoint", "pause", "resume"):
        answer = coldframe(verb, "garden", *runs)
        assert (answer.status, answer.json["outcome"]) == (0, "applied"), (verb, answer.out)
        assert {"run", "step", "outcome", "detail"} <= set(answer.json)
    stopped = coldframe("stop", "garden", "--why", "the story ends here", *runs)
    assert (stopped.status, stopped.json["outcome"]) == (0, "applied"), stopped.out
    ended = trainer.end()
    assert (ended.status, ended.json["status"]) == (0, "stopped"), ended.said
    assert httpx_is_closed(url)

    losses = bench.series("garden")["train_loss"]
    tenth = max(5, len(losses) // 10)
    assert sum(losses[-tenth:]) < 0.85 * sum(losses[:tenth])
    assert {row["verb"]: row["outcome"] for row in bench.rows("garden", "outcomes")} == {
        "checkpoint": "applied", "pause": "applied", "resume": "applied", "stop": "applied",
    }  # fmt: skip
    assert bench.rows("garden", "outcomes")[-1]["why"] == "the story ends here"
    assert bench.rows("garden", "samples")
    assert {row["source"] for row in bench.rows("garden", "evals")} >= {"all", "python-docstrings"}

    step = ended.json["step"]
    resumed = coldframe("train", "--run", "garden", "--stop-at", step + 3, *runs)
    assert (resumed.status, resumed.json["step"], resumed.json["status"]) == (0, step + 3, "stopped"), resumed.err
    woken = bench.ask("resume", "garden")    # nobody trains, so it starts a trainer
    assert woken.json["outcome"] == "applied", woken.said
    holder = json.loads(folder.lock.read_text())
    assert holder["pid"] != os.getpid()
    stopped = coldframe("stop", "garden", *runs)
    assert stopped.json["outcome"] == "applied", stopped.out


def httpx_is_closed(url: str) -> bool:
    """Whether nobody answers any more."""
    try:
        httpx.get(url, timeout=5)
    except httpx.TransportError:
        return True
    return False
