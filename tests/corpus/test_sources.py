"""A source's record refuses nonsense."""

import logging

import pytest

from coldframe.corpus.sources import Source, open_sources
from coldframe.errors import SettingsError, SourceError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "../up"}, "not a plain name"),
        ({"name": ""}, "not a plain name"),
        ({"name": "all"}, "stands for all sources"),
        ({"kind": "pros"}, "did you mean 'prose'"),
        ({"path": None}, "a path, a package, a git, a hub or scenes"),
        ({"package": "numpy"}, "one of them"),
        ({"package": "../numpy", "path": None}, "which no package is called"),
        ({"package": "numpy; import os", "path": None}, "which no package is called"),
        ({"share": 1.5}, "share 1.5"),
        ({"share": float("nan")}, "share nan"),
        ({"epochs": 0}, "0 epochs"),
    ],
)
def test_wrong_values(values, words):
    with pytest.raises(SettingsError, match=words):
        Source(**{"name": "mine", "kind": "prose", "path": "books", **values})


def test_two_sources_of_one_name(tmp_path):
    source = Source(name="mine", kind="prose", path=str(tmp_path))
    with pytest.raises(SettingsError, match="two sources are named 'mine'"):
        open_sources([source, source])


def test_ones_own_missing_source_is_an_error_and_never_skipped(tmp_path):
    with pytest.raises(SourceError, match="there is nothing at"):
        open_sources([Source(name="mine", kind="prose", path=str(tmp_path / "nowhere"))])


def test_files_of_other_kinds_are_one_line_a_source(tmp_path, caplog):
    for name in ("a.txt", "b.png", "c.png", "d.pdf"):
        (tmp_path / name).write_text("x")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.txt").write_text("x")
    mix = Source(name="mix", kind="prose", path=str(tmp_path))
    own = Source(name="own", kind="prose", path=str(tmp_path / "own"))
    with caplog.at_level(logging.WARNING, "coldframe"):
        opened, _ = open_sources([mix, own])
    assert caplog.messages == ["source mix: 3 files of other kinds left alone (2 .png, 1 .pdf)"]
    assert [source.left_alone for source in opened] == ["3 files of other kinds left alone (2 .png, 1 .pdf)", ""]


def test_no_source_at_all():
    with pytest.raises(SourceError, match="none was named"):
        open_sources([])


def test_the_record_does_not_say_where_the_text_lies():
    record = Source(name="mine", kind="prose", path="/home/me/books", share=0.5).record()
    assert record["name"] == "mine"
    assert "/home/me/books" not in str(record)
