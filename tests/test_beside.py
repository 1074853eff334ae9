"""The explorer beside training: it takes another port rather than keep a run from training."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Commands, commands

TINY = (
    "--depth", "1", "--steps", "1", "--device", "cpu", "--explore", "--json",
    "--set", "plan.vocab_size=300", "--set", "plan.context=32", "--set", "plan.total_batch_tokens=64",
    "--set", "plan.width=64", "--set", "train.sample_every=0", "--set", "train.evaluate_bytes=1000",
)  # fmt: skip


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs, in this process."""
    yield from commands(capsys)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe over a small text of its own."""
    (tmp_path / "text.txt").write_text("The garden grows under glass, and the glass is warm.\n\n" * 400)
    path = tmp_path / "recipe.toml"
    path.write_text('[[corpus.source]]\nname = "own"\nkind = "prose"\npath = "text.txt"\n')
    return path


def test_a_taken_port_is_no_reason_not_to_train(coldframe: Commands, recipe: Path, tmp_path: Path) -> None:
    """One line of warning, an address with another port, and the run trains."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        flags = ("--runs", tmp_path / "runs", "--recipe", recipe, *TINY, "--set", f"explore.port={port}")
        answer = coldframe("train", "--run", "a", *flags)
    assert answer.status == 0, answer.err
    assert answer.json["status"] == "done"
    warnings = [line for line in answer.err.splitlines() if "explorer takes" in line]
    assert len(warnings) == 1 and f"port {port} on 127.0.0.1 cannot be had" in warnings[0]
    opened = re.search(r"the explorer is open at http://127\.0\.0\.1:(\d+)/", answer.err)
    assert opened and int(opened[1]) not in (0, port)


def test_an_address_that_is_not_ours_is_told_before_training(coldframe: Commands, recipe: Path, tmp_path: Path) -> None:
    """The advice is made of flags that `train` knows."""
    runs = tmp_path / "runs"
    flags = ("--runs", runs, "--recipe", recipe, *TINY, "--set", "explore.host=203.0.113.7")
    answer = coldframe("train", "--run", "a", *flags)
    assert answer.status == 1
    assert "cannot listen on '203.0.113.7'" in answer.error["message"]
    assert "train without --explore" in answer.error["advice"] and "--port" not in answer.error["advice"]
    assert not (runs / "a").exists()
