"""How files are divided for reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_large_file_of_lines_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    """One in UTF-8 is read in ranges; one in UTF-16, of which a range cannot be read alone, whole."""
    texts = [f"Zeile Nummer {number} über ਊ und Čaj. ".ljust(500, "x") for number in range(9000)]  # the bytes 0x0a 0x0a
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    mark = "" if encoding == "utf-8" else "\ufeff"
    (tmp_path / "a.jsonl").write_bytes((mark + lines).encode(encoding))
    manifest = ingest(Source(name="a", kind="prose", path=str(tmp_path / "a.jsonl")), tmp_path / "out")
    assert (len(manifest.parts) > 1) == (encoding == "utf-8")
    assert manifest.quarantined == ()
    assert [one.document.text for one in kept_documents(tmp_path / "out")] == texts
    assert [one.document.place for one in kept_documents(tmp_path / "out")][-1] == "a.jsonl:9000"
