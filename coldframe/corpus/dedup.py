"""The same text twice: within a source, across sources, and between what is learned and what it is measured on.

Sources are taken in the order in which they are given, and the first of several equal documents is kept. Near
duplicates are candidates of `signatures`, and are dropped only when their runs of words are three quarters the same:
unverified candidates would chain thousands of good conversations to each other.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coldframe.corpus import signatures as signing
from coldframe.corpus.batches import Batch, Made, Told, code_of, key_of, run_batches
from coldframe.corpus.documents import Document
from coldframe.corpus.filtering import judged_documents
from coldframe.corpus.filters import texts
from coldframe.corpus.filters.texts import Hashes
from coldframe.corpus.signatures import BANDS, hash_of, openings, runs_of, signatures, similarity, words_of
from coldframe.corpus.store import (
    DEDUP,
    DOCUMENTS,
    Manifest,
    Stored,
    as_lines,
    read_manifest,
    read_part,
    unpack_documents,
)
from coldframe.errors import UsageError
from coldframe.run.durable import remove_abandoned, write_whole

SIMILAR = 0.75
"""Jaccard similarity of runs of three words from which on two documents are near duplicates."""
_OPENINGS, _SIGNATURES = "dedup/openings.bin", "dedup/signatures.bin"
_SHARED = 20
"""Documents of a source that have to share an opening paragraph before it is nobody's own."""
_EXAMPLES = 20
_MOST_CANDIDATES = 16
"""Earlier documents of a band that one is compared with."""


@dataclass(slots=True)
class Deduplicated:
    """What became of the documents."""

    documents: int = 0
    exact: int = 0
    near: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source of the dropped, source of the kept) -> documents."""
    examples: list[tuple[str, str, float]] = field(default_factory=list)
    """(place of a dropped one, place of the kept one, their similarity)."""


@dataclass(frozen=True, slots=True)
class _Source:
    folder: Path
    manifest: Manifest
    rows: npt.NDArray[np.uint64]
    """[N, 1 + BANDS]"""
    kept: npt.NDArray[np.bool_]
    """Which documents the other attributes keep [N]."""
    shared: Hashes


def deduplicate(
    folders: Sequence[Path],
    verdicts: Sequence[Path] = (),
    *,
    processes: int = 1,
    told: Told = lambda size: None,
) -> Deduplicated:
    """Find what is there twice among the documents that the other attributes keep; write each folder's verdicts.

    They stand beside the folder's documents unless a file is named for each folder in `verdicts`.

    Raises:
        UsageError: when a folder is given twice.
        CorpusError, DiskFullError: what was made stays, and the next call goes on from there.
    """
    places = [os.path.realpath(folder) for folder in folders]
    if not verdicts and len(set(places)) < len(places):
        twice = next(folder for folder in folders if places.count(os.path.realpath(folder)) > 1)
        raise UsageError(f"{twice} is given twice", advice="give each folder of documents once")
    but = "" if verdicts else DEDUP
    sources = [_signed(folder, but, processes, told) for folder in folders]
    files = verdicts or [folder / DEDUP for folder in folders]
    starts = np.cumsum([0, *(len(source.rows) for source in sources)])
    rows = np.concatenate([source.rows for source in sources]) if sources else np.empty((0, 1 + BANDS), np.uint64)
    open_to = np.concatenate([source.kept for source in sources]) if sources else np.empty(0, bool)
    head = _exact(rows, open_to)
    exact = head >= 0
    alone = np.flatnonzero(open_to & ~exact)
    found = _near(rows, alone, lambda wanted: _runs(sources, starts, wanted))
    for number, (other, _) in found.items():
        head[number] = other
    result = Deduplicated(documents=int(open_to.sum()), exact=int(exact.sum()), near=len(found))
    names = _names(sources, starts, np.unique(head[head >= 0]))
    for source, file, start in zip(sources, files, starts[:-1].tolist(), strict=True):
        lines = []
        for number, one in enumerate(_stored(source), start):
            dropped = int(head[number]) >= 0
            kept, place, key = names.get(int(head[number]), ("", "", ""))
            likeness = found[number][1] if number in found else float(dropped)
            reason = ("near-duplicate" if number in found else "duplicate") if dropped else ""
            of = {"duplicate_of": key, "similarity": likeness} if dropped else {}
            lines.append({"id": one.id, "keep": not dropped, "reason": reason, "features": of})
            if dropped:
                result.pairs[one.source, kept] += 1
                if len(result.examples) < _EXAMPLES:
                    result.examples.append((f"{one.source}: {one.document.place}", f"{kept}: {place}", likeness))
        remove_abandoned(file)
        write_whole(file, as_lines(lines))
    return result


def _stored(source: _Source) -> Iterator[Stored]:
    for number in range(len(source.manifest.parts)):
        yield from unpack_documents(read_part(source.folder / DOCUMENTS, source.manifest.parts, number))


def _names(
    sources: Sequence[_Source], starts: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> dict[int, tuple[str, str, str]]:
    """(source, place, id) of the documents that others are duplicates of."""
    heads = set(wanted.tolist())
    return {
        number: (one.source, one.document.place, one.id)
        for source, start in zip(sources, starts[:-1].tolist(), strict=True)
        for number, one in enumerate(_stored(source), start)
        if number in heads
    }


def _exact(rows: npt.NDArray[np.uint64], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each document the earlier one with the same words, or -1."""
    head = np.full(len(rows), -1, dtype=np.int64)
    places = np.flatnonzero(kept)
    _, first, group = np.unique(rows[places, 0], return_index=True, return_inverse=True)
    earliest = places[first[group]]
    again = earliest != places
    head[places[again]] = earliest[again]
    return head


def _near(
    rows: npt.NDArray[np.uint64],
    alone: npt.NDArray[np.int64],
    runs: Callable[[npt.NDArray[np.int64]], dict[int, Hashes]],
) -> dict[int, tuple[int, float]]:
    """Near duplicates: document -> (the earlier one that is kept, their similarity)."""
    pairs = _candidates(rows, alone)
    if not len(pairs):
        return {}
    known = runs(np.unique(pairs))
    found: dict[int, tuple[int, float]] = {}
    for later, earlier in pairs.tolist():
        if later in found:
            continue
        earlier = found[earlier][0] if earlier in found else earlier
        likeness = similarity(known[later], known[earlier])
        if earlier != later and likeness >= SIMILAR:
            found[later] = (earlier, round(likeness, 4))
    return found


def _candidates(rows: npt.NDArray[np.uint64], alone: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(later, earlier) of documents that share a band, in the order of the later [P, 2]."""
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for band in range(1, 1 + BANDS):
        keys = rows[alone, band]
        order = np.argsort(keys, kind="stable")
        places, inorder = alone[order], keys[order]
        starts = np.flatnonzero(np.append(True, inorder[1:] != inorder[:-1]))
        begin = np.repeat(starts, np.diff(np.append(starts, len(inorder))))
        rank = np.arange(len(inorder)) - begin
        for back in range(1, _MOST_CANDIDATES + 1):
            # The nearest before it, and the first of its band: of many alike each has a kept one among these.
            with_back = np.flatnonzero(rank >= back)
            if not len(with_back):
                break
            pairs.append(np.stack([places[with_back], places[with_back - back]], axis=1))
        with_first = np.flatnonzero(rank > _MOST_CANDIDATES)
        pairs.append(np.stack([places[with_first], places[begin[with_first]]], axis=1))
        pairs = [np.unique(np.concatenate(pairs), axis=0)]  # most pairs share several bands
    return pairs[0]


def _runs(
    sources: Sequence[_Source], starts: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> dict[int, Hashes]:
    """The sorted runs of these documents, read again from the disk."""
    found: dict[int, Hashes] = {}
    for source, start in zip(sources, starts[:-1].tolist(), strict=True):
        mine = wanted[(wanted >= start) & (wanted < start + len(source.rows))]
        at = start
        for number in range(len(source.manifest.parts)):
            size = source.manifest.sizes[number]
            here = mine[(mine >= at) & (mine < at + size)]
            if len(here):
                documents = _documents(source.folder, source.manifest, number)
                chosen = [documents[place - at] for place in here.tolist()]
                hashes, offsets = runs_of(words_of(chosen, source.shared))
                for place, begin, end in zip(here.tolist(), offsets[:-1], offsets[1:], strict=True):
                    found[place] = np.unique(hashes[begin:end])
            at += size
    return found


def _documents(folder: Path, manifest: Manifest, number: int) -> list[Document]:
    return [one.document for one in unpack_documents(read_part(folder / DOCUMENTS, manifest.parts, number))]


def _signed(folder: Path, but: str, processes: int, told: Told) -> _Source:
    """A folder's signatures, made where they are missing: first what openings many share, then the rest without."""
    manifest = read_manifest(folder)
    code = code_of(signing, texts, sys.modules[__name__])

    def run(work: Callable[[Any], Made], name: str, file: str, more: object, payload: object) -> npt.NDArray[np.uint64]:
        batches = [
            Batch(key_of(known_as, code, more), (str(folder), manifest.parts, number, payload), size)
            for number, (size, known_as) in enumerate(manifest.parts)
        ]
        run_batches(batches, work, folder=folder, name=name, files=[file], processes=processes, told=told)
        return np.frombuffer((folder / file).read_bytes(), dtype="<u8")

    first = run(openings_batch, "openings", _OPENINGS, None, None)
    hashes, counts = np.unique(first, return_counts=True)
    shared = hashes[counts >= max(_SHARED, manifest.counts["documents"] // 1000)]
    rows = run(signatures_batch, "signatures", _SIGNATURES, shared.tolist(), shared.tolist()).reshape(-1, 1 + BANDS)
    verdicts = (all(line["keep"] for line in said) for _, said in judged_documents(folder, but))
    kept = np.fromiter(verdicts, dtype=bool, count=len(rows))
    return _Source(folder, manifest, rows, kept, shared)


def openings_batch(payload: tuple[str, tuple[tuple[int, str], ...], int, None]) -> Made:
    """The opening paragraphs of one part: work for `run_batches`."""
    folder, parts, number, _ = payload
    documents = [one.document for one in unpack_documents(read_part(Path(folder) / DOCUMENTS, parts, number))]
    return Made({_OPENINGS: openings(documents).astype("<u8").tobytes()})


def signatures_batch(payload: tuple[str, tuple[tuple[int, str], ...], int, list[int]]) -> Made:
    """The signatures of one part: work for `run_batches`."""
    folder, parts, number, shared = payload
    documents = [one.document for one in unpack_documents(read_part(Path(folder) / DOCUMENTS, parts, number))]
    found = signatures(words_of(documents, np.array(shared, dtype=np.uint64)))
    whole = words_of(documents, np.empty(0, dtype=np.uint64))  # what is exactly the same, is with its opening
    for row, (start, end) in enumerate(zip(whole.of[:-1].tolist(), whole.of[1:].tolist(), strict=True)):
        found[row, 0] = np.uint64(hash_of(whole.hashes[start:end]))
    return Made({_SIGNATURES: found.astype("<u8").tobytes()})
