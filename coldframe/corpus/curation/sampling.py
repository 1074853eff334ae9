"""A sample of what a corpus keeps: small enough to be looked at from all sides, the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.signatures import own_text
from coldframe.corpus.store import Manifest, read_manifest

SAMPLE_BYTES = 16_000_000
"""Bytes of text that are looked at, of all sources together."""
_LEAST = 400_000
"""Of each source at least so many, if it has them."""
PASSAGE = 3_000
"""Characters of a passage; a longer document has several, and hashes decide which of them are looked at."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is looked at of a document."""

    source: int
    """Number of its folder."""
    place: str
    text: str
    weight: float
    """Bytes of kept text that it stands for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Passages of several folders of documents."""

    manifests: tuple[Manifest, ...]
    passages: tuple[Passage, ...]
    kept_bytes: tuple[int, ...]
    """Of each folder, bytes of text in what is kept."""

    @property
    def names(self) -> list[str]:
        """The sources' names."""
        return [str(manifest.source["name"]) for manifest in self.manifests]

    @property
    def kinds(self) -> list[str]:
        """The sources' kinds."""
        return [str(manifest.source["kind"]) for manifest in self.manifests]

    @property
    def texts(self) -> list[str]:
        """The passages' texts."""
        return [passage.text for passage in self.passages]


def take_sample(folders: Sequence[Path]) -> Sample:
    """Sample the kept documents of each folder, by the hash of their ids.

    Raises:
        CorpusError: for a folder that is none.
    """
    manifests = [read_manifest(folder) for folder in folders]
    whole = sum(manifest.counts["bytes"] for manifest in manifests) or 1
    passages: list[Passage] = []
    kept_bytes = []
    for number, (folder, manifest) in enumerate(zip(folders, manifests, strict=True)):
        size = manifest.counts["bytes"]
        share = max(_LEAST, SAMPLE_BYTES * size / whole) / max(1, size)
        kept, taken, chosen = 0, 0, list[tuple[str, str]]()
        for one in kept_documents(folder):
            text = own_text(one.document)
            kept += len(text.encode())
            for begin, end in _cuts(text):
                if xxhash.xxh3_64_intdigest(f"{one.id} {begin}".encode()) / 2**64 < share:
                    chosen.append((one.document.place, text[begin:end].strip()))
                    taken += len(chosen[-1][1].encode())
        passages += [Passage(number, place, text, kept * len(text.encode()) / max(1, taken)) for place, text in chosen]
        kept_bytes.append(kept)
    return Sample(tuple(manifests), tuple(passages), tuple(kept_bytes))


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """The passages of a text, each of which ends with a line or a word."""
    begin = 0
    while len(text) - begin > 1.5 * PASSAGE:
        latest = begin + PASSAGE
        end = max(text.rfind("\n", latest - 300, latest), text.rfind(" ", latest - 50, latest))
        end = end if end > begin else latest
        yield begin, end
        begin = end
    yield begin, len(text)
