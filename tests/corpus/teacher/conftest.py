"""What the tests of the teacher share: the verb on a recipe, and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import Answer, commands

Scenes = Callable[..., Answer]


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Scenes]:
    """The verbs, in a thread of their own: the browser of other tests leaves an event loop running in this one."""
    with contextmanager(commands)(capsys) as run, ThreadPoolExecutor(1) as thread:
        yield lambda *words: thread.submit(run, *words).result()


@pytest.fixture
def scenes(coldframe: Scenes, tmp_path: Path) -> Scenes:
    """`coldframe corpus scenes` with a recipe's text, into tmp_path/out/scenes."""

    def run(recipe: str, *words: object) -> Answer:
        path = tmp_path / "teacher.toml"
        path.write_text(recipe)
        return coldframe("corpus", "scenes", path, "--out", tmp_path / "out" / "scenes", "--json", "--quiet", *words)

    return run
