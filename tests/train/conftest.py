"""A folder of runs over a small text, shared by the tests that train in real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands import Commands, commands
from tests.train.garden import Garden
from tests.train.running import Bench, Running, write_text


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Where they train; the text is prepared by whoever comes first."""
    made = Bench(tmp_path_factory.mktemp("bench"))
    write_text(made.folder / "text")
    return made


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs, in this process."""
    yield from commands(capsys)


@pytest.fixture
def garden(bench: Bench, coldframe: Commands) -> Garden:
    """Runs stopped at step 6 of 12; trained once for all tests."""
    return Garden(bench, coldframe)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A test that fails leaves no trainer behind."""
    yield
    while Running.started:
        running = Running.started.pop()
        if running.process.poll() is None:
            running.kill()
