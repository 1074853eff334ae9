"""A corpus of three real sources: the embedded ones, filtered."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldframe.corpus.filtering import filter_documents
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import EMBEDDED


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Source -> its folder of documents."""
    home = tmp_path_factory.mktemp("corpus")
    found = {}
    for source in EMBEDDED:
        found[source.name] = home / source.name
        ingest(source, home / source.name)
        filter_documents(home / source.name, Criteria(kind=source.kind))
    return found
