"""Killed at any moment and started again: the same folder, nothing paid twice that was noted, the budget kept."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.corpus.teacher.provider import Body, Handler, Provider, providing, well
from tests.corpus.teacher.recipes import contents, documents, ledger, recipe, spent, write_talk

ROOT = Path(__file__).parents[3]


def start(folder: Path, text: str) -> subprocess.Popen[str]:
    """`coldframe corpus scenes` as a process, into folder/scenes."""
    folder.mkdir(exist_ok=True)
    (folder / "teacher.toml").write_text(text)
    words = ["corpus", "scenes", folder / "teacher.toml", "--out", folder / "scenes", "--json", "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-m", "coldframe", *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts,
    )  # fmt: skip


def _hear_interrupts() -> None:
    """A suite that a shell started in the background is deaf to Ctrl-C, and so would be its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> int:
    """Its exit status, when it ends by itself."""
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode


def killed_at(provider: Provider, folder: Path, text: str, request: int, delay: float, how: signal.Signals) -> int:
    """Start, and kill when the provider has got so many requests in all, after a moment."""
    process = start(folder, text)

    def act(handler: Handler, body: Body, number: int) -> None:
        if number == request:
            timer = threading.Timer(delay, process.send_signal, [how])
            timer.daemon = True
            timer.start()
        well(handler, body, number)

    provider.act = act
    return finish(process)


def campaign(tmp_path: Path, *, kills: int, count: int, seed: int) -> None:
    """An undisturbed run and one that is killed often, with the same provider."""
    draw = random.Random(seed)
    talk, folder, undisturbed = write_talk(tmp_path / "talk.jsonl"), tmp_path / "killed", tmp_path / "undisturbed"
    with providing() as provider:
        text = recipe(provider.url, count=count, talk=talk, concurrency=8)
        assert finish(start(undisturbed, text)) == 0
        asked = len(provider.bodies)
        provider.bodies.clear()
        provider.seconds = 0.02
        struck = 0
        for _ in range(kills):
            at = len(provider.bodies) + draw.randint(1, max(1, asked // kills))
            struck += killed_at(provider, folder, text, at, draw.uniform(0, 0.05), signal.SIGKILL) == -signal.SIGKILL
        assert struck > kills // 2
        provider.act = well
        assert finish(start(folder, text)) == 0
    assert contents(folder / "scenes") == contents(undisturbed / "scenes")
    said = ledger(folder / "scenes")
    assert set(Counter(line["request"] for line in said if line.get("status") == 200).values()) == {1}
    sent = Counter(line["request"] for line in said if line["event"] == "sent")
    ended = {line["number"] for line in said if line["event"] == "ended"}
    unknown = Counter(line["request"] for line in said if line["event"] == "sent" and line["number"] not in ended)
    assert all(number - unknown[request] <= 1 for request, number in sent.items()), "asked again only when unknown"
    assert len(provider.bodies) <= sent.total()
    assert spent(folder / "scenes") >= 150 * len(provider.bodies), "the ledger is never below the bill"


def test_killed_and_started_again(tmp_path: Path) -> None:
    campaign(tmp_path, kills=2, count=24, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    campaign(tmp_path, kills=12, count=150, seed=seed)


def test_budget_holds_under_kills(tmp_path: Path) -> None:
    """What was under way when it was killed counts with what it may have cost at most."""
    draw, folder = random.Random(2), tmp_path / "killed"
    with providing() as provider:
        provider.seconds = 0.01
        text = recipe(provider.url, count=100, concurrency=8, budget_tokens=16_000)
        for _ in range(2):
            killed_at(provider, folder, text, len(provider.bodies) + 12, draw.uniform(0, 0.02), signal.SIGKILL)
        provider.act = well
        assert finish(start(folder, text)) == 0
        assert 150 * len(provider.bodies) <= spent(folder / "scenes") <= 16_000
        assert 0 < len(documents(folder / "scenes")) < 100


def test_interrupted_by_hand(tmp_path: Path) -> None:
    """Ctrl-C: what was answered stands in the folder."""
    folder = tmp_path / "stopped"
    with providing() as provider:
        provider.seconds = 0.02
        text = recipe(provider.url, count=200, concurrency=4)
        assert killed_at(provider, folder, text, 20, 0.0, signal.SIGINT) == 130
        assert 10 < len(documents(folder / "scenes")) < 200
        assert sum(line.get("status") == 200 for line in ledger(folder / "scenes")) == len(documents(folder / "scenes"))
