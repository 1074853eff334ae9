"""What the tests of the corpus share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands import Commands, commands


@pytest.fixture
def coldframe(capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The verbs, in this process."""
    yield from commands(capsys)
