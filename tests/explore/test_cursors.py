"""A cursor says in one line how far into every table a reader has seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldframe.errors import UsageError
from coldframe.explore.cursors import START, newest_cursor, parse_cursor
from coldframe.run.view import RunView
from tests.explore.made import make_run


def test_a_cursor_reads_back(runs: Path) -> None:
    cursor = newest_cursor(RunView(make_run(runs, "a", steps=12)))
    assert parse_cursor(str(cursor)) == cursor and cursor.ids["steps"] == 12 and cursor.born > 0
    assert parse_cursor("") == START
    assert parse_cursor("steps=3").ids == START.ids | {"steps": 3}


@pytest.mark.parametrize("text", ["steps", "steps=x", "nothing=1", "steps=-1", "steps=1;events=2", "=3"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a cursor"):
        parse_cursor(text)
