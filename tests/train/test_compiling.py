"""Training with plan.compile=on: the same learning, and the same run without when the compiler fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.running import Bench, Ended, Running


def flags(bench: Bench) -> list[str]:
    """Three steps of one layer, which is soon compiled."""
    return ["--recipe", str(bench.recipe(num_steps=3)), "--depth", "1"]


@pytest.fixture(scope="module")
def plain(bench: Bench) -> dict[str, list[float]]:
    """What the run learns without a compiler."""
    ended = bench.train("plain", *flags(bench))
    assert ended.status == 0, ended.said
    return bench.series("plain")


def compiled(bench: Bench, name: str, cache: Path, compiler: str, *settings: str) -> Ended:
    """The same run with plan.compile=on and a C++ compiler; what was compiled before is not used again."""
    words = ["train", "--run", name, "--runs", str(bench.runs), *flags(bench), "--json"]
    given = [word for setting in ("plan.compile=on", *settings) for word in ("--set", setting)]
    command = [sys.executable, "-m", "coldframe", *words, *given]
    ended = Running(command, {"CXX": compiler, "TORCHINDUCTOR_CACHE_DIR": str(cache)}).end()
    assert ended.status == 0, ended.said
    return ended


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
@pytest.mark.parametrize("settings", [
    pytest.param([], id="as on a CPU"),
    pytest.param(["plan.attention=fused", "plan.recompute=on"], id="as on a small GPU"),
])
def test_compiled(bench: Bench, plain: dict[str, list[float]], tmp_path: Path, settings: list[str]) -> None:
    """On one thread, where the compiler sees all of a row's work: the losses are those of the model as it is."""
    name = f"compiled-{len(settings)}"
    compiled(bench, name, tmp_path, "g++", *settings)
    assert [row for row in bench.rows(name, "events") if row["kind"] == "compile"] == []
    losses = bench.series(name)["train_loss"]
    assert losses[0] == pytest.approx(plain["train_loss"][0], rel=1e-6)
    assert losses == pytest.approx(plain["train_loss"], rel=2e-3)  # Adam makes a rounding of tiny gradients large


def test_a_compiler_that_fails(bench: Bench, plain: dict[str, list[float]], tmp_path: Path) -> None:
    """Training goes on without, to the same numbers, and the run's events say so."""
    ended = compiled(bench, "uncompiled", tmp_path, "/bin/false")
    [event] = [row for row in bench.rows("uncompiled", "events") if row["kind"] == "compile"]
    assert event["level"] == "warning"
    assert "C++ compiler" in event["message"], event
    assert "Traceback" not in ended.said
    assert bench.series("uncompiled") == plain


def test_who_compiles_nothing_does_not_import_the_compiler() -> None:
    """It takes 70 MB and a second of every start."""
    look = "import sys, coldframe.train.session; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
