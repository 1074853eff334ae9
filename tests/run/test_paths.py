"""Run names and folders: a name cannot climb, and a missing run is answered with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import ReportNotFoundError, RunNameError, RunNotFoundError, UsageError
from coldframe.run.paths import find_report, find_run, list_reports, list_runs, report_file, run_folder


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


def test_reports_have_plain_names_too(tmp_path: Path) -> None:
    """A run may not be called corpus, a report may; neither climbs, and a missing one is answered with the nearest."""
    for name in ("..", "a/b", "", ".hidden", "a.json", "x" * 65):
        with pytest.raises(UsageError, match="cannot be the name of a report"):
            report_file(name, tmp_path)
    assert list_reports(tmp_path) == []
    for name in ("corpus", "novels"):
        path = report_file(name, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (path.parent / ".novels-half-written.json").write_text("{}")
    assert list_reports(tmp_path) == ["corpus", "novels"] and find_report("novels", tmp_path) == path
    with pytest.raises(ReportNotFoundError) as caught:
        find_report("novel", tmp_path)
    assert "did you mean 'novels'?" in caught.value.advice
