"""Run names and folders: a name cannot climb, and a missing run is answered with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import RunNameError, RunNotFoundError
from coldframe.run.paths import find_run, list_runs, run_folder


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "a/b",
        "../a",
        "/tmp/a",
        "a\\b",
        ".hidden",
        "a b",
        "a\n",
        "a\0",
        "-a",
        "é",
        "a" * 65,
        "corpus",
        "shards",
        "tokenizers",
        "conversations.db",
        "conversations.db-wal",
    ],
)
def test_names_that_are_not_plain(tmp_path: Path, name: str) -> None:
    """Refused, whatever they would lead to."""
    for open_run in (run_folder, find_run):
        with pytest.raises(RunNameError) as caught:
            open_run(name, tmp_path)
        assert caught.value.advice
        assert caught.value.exit_status == 2


@given(st.text(max_size=8))
def test_no_name_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """A name is refused, or its folder stands directly in the runs folder."""
    runs = tmp_path_factory.getbasetemp()
    try:
        folder = run_folder(name, runs)
    except RunNameError:
        return
    assert folder.path.resolve().parent == runs.resolve()


def test_runs_are_found_by_name(tmp_path: Path) -> None:
    """What has a run.toml is a run; what runs share is none; a near miss is named."""
    for name in ("garden", "b.2"):
        run_folder(name, tmp_path).create()
        run_folder(name, tmp_path).plan_file.write_text("")
    (tmp_path / "shards").mkdir()
    (tmp_path / "empty").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["b.2", "garden"]
    assert find_run("garden", tmp_path).exists
    with pytest.raises(RunNotFoundError) as caught:
        find_run("gardn", tmp_path)
    assert "'garden'" in caught.value.advice
    assert list_runs(tmp_path / "none") == []
