"""What a model is to be measured on, found in what it is to learn from.

Every text in an evaluation set is a piece: each string of a row, each paragraph of a page, from ten words on (numbers
do not count). Its runs of 13 words (Brown et al. 2020, appendix C; of a shorter piece all of it) are looked for in
every document, whatever the capitals and marks. A document that holds half of a piece's runs is dropped, by a verdict
beside the others. Runs that stand in many pieces are the set's own phrases, such as what a task is, and count for
nothing.
"""

from __future__ import annotations

import functools
import io
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xxhash

from coldframe.corpus import signatures as signing
from coldframe.corpus.batches import Batch, Counts, Done, Made, Told, code_of, key_of, run_batches
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.filters import texts as texts_module
from coldframe.corpus.filters.texts import Hashes, Ints, Texts
from coldframe.corpus.reading.entries import entries
from coldframe.corpus.reading.formats import is_known, pieces_of
from coldframe.corpus.reading.paths import open_files, place_of
from coldframe.corpus.signatures import Words, own_text, runs_of
from coldframe.corpus.store import CONTAMINATION, DOCUMENTS, as_lines, read_manifest, read_part, unpack_documents
from coldframe.errors import SourceError
from coldframe.run.durable import write_whole

RUN, SHORTEST = 13, 10
"""Words of a run, and of the shortest piece that is looked for."""
FOUND = 0.5
"""Share of a piece's runs from which on it is in a document."""
_COMMON = 10
"""Pieces in which a run may stand and still be looked for."""
_INDEX = "dedup/evaluation.npz"
_EXAMPLES, _EXCERPT = 10, 160
_log = logging.getLogger("coldframe")
_MARKS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class _Index:
    """Runs of evaluation sets: run i stands in the pieces of[starts[i]:starts[i + 1]]."""

    runs: Hashes
    """Sorted [R]"""
    starts: Ints
    of: Ints
    sizes: Ints
    """Runs of each piece that are looked for [P]."""
    lengths: Ints
    """Which lengths of runs there are, in words."""


@dataclass(slots=True)
class Contaminated:
    """What of the evaluation sets was found, and where."""

    sets: dict[str, int] = field(default_factory=dict)
    """Set -> its pieces."""
    found: dict[str, int] = field(default_factory=dict)
    """Set -> pieces of it that stand in some document."""
    documents: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Source -> documents with a piece in them."""
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    """(place of a document, place of a piece, how that begins) of a few."""


def find_contamination(
    folders: Sequence[Path], sets: Sequence[Path], *, processes: int = 1, told: Told = lambda size: None
) -> Contaminated:
    """Look for evaluation sets (files or folders of text) in folders of documents; write each folder's verdicts.

    Raises:
        SourceError: when there is nothing to look for.
        CorpusError, DiskFullError: what was made stays, and the next call goes on from there.
    """
    pieces = [piece for path in sets for piece in _pieces(path)]
    if not pieces:
        raise SourceError(
            f"{', '.join(map(str, sets))} holds no text of {SHORTEST} words or more",
            advice="name the files of the tasks that the model will be measured on",
        )
    index = _indexed([text for _, _, text in pieces])
    result = Contaminated(sets=dict(Counter(name for name, _, _ in pieces)))
    seen: set[int] = set()
    for folder in folders:
        done = _searched(folder, index, processes, told)
        name = str(read_manifest(folder).source["name"])
        result.documents += done.counts["documents"]
        result.dropped[name] += done.counts["dropped"]
        for place, number in done.notes:
            seen.add(number)
            if len(result.examples) < _EXAMPLES:
                result.examples.append((f"{name}: {place}", pieces[number][1], pieces[number][2][:_EXCERPT]))
    found = Counter(pieces[number][0] for number in seen)
    result.found = {name: found[name] for name in result.sets}
    return result


def _pieces(path: Path) -> Iterator[tuple[str, str, str]]:
    """(set, place, text) of every text in an evaluation set."""
    root, files, _ = open_files(path)
    quarantine = Quarantine()
    for file in files:
        place = place_of(file, root)
        name = place if root.is_dir() else root.name
        for entry in entries(file, place, is_known, quarantine):
            for where, text in pieces_of(entry, quarantine):
                if len(_WORD.findall(text)) >= SHORTEST:
                    yield name, where, text
    if quarantine.count:
        _log.warning("of the evaluation text in %s, %s", path, quarantine)


def _plain_words(texts: Sequence[str]) -> Words:
    """The words of texts in small letters without marks."""
    found = Texts([_MARKS.sub(" ", text.lower()) for text in texts])
    return Words(found.word_hashes, found.words.of)


def _indexed(pieces: Sequence[str]) -> _Index:
    words = _plain_words(pieces)
    counts = np.diff(words.of)
    runs, offsets = runs_of(words, RUN)
    piece = np.repeat(np.arange(len(counts)), np.diff(offsets))
    both = np.unique(np.stack([runs, piece.astype(np.uint64)], axis=1), axis=0)  # a run of a piece counts once
    runs, piece = both[:, 0], both[:, 1].astype(np.int64)
    known, starts, number = np.unique(runs, return_index=True, return_counts=True)
    keep = number <= _COMMON
    kept = np.repeat(keep, number)
    sizes = np.bincount(piece[kept], minlength=len(counts))
    starts = np.concatenate([[0], np.cumsum(number[keep])])
    lengths = np.unique(np.minimum(counts[counts > 0], RUN))
    return _Index(known[keep], starts, piece[kept], sizes, lengths)


def _searched(folder: Path, index: _Index, processes: int, told: Told) -> Done:
    manifest = read_manifest(folder)
    known_by = xxhash.xxh3_128_hexdigest(index.runs.tobytes() + index.of.tobytes())
    path = folder / _INDEX
    path.parent.mkdir(exist_ok=True)
    _save(path, index)
    code = code_of(signing, texts_module, sys.modules[__name__])
    batches = [
        Batch(key_of(part, known_by, code, FOUND), (str(folder), manifest.parts, number, known_by), size)
        for number, (size, part) in enumerate(manifest.parts)
    ]
    return run_batches(
        batches, search_batch, folder=folder, name="contamination", files=[CONTAMINATION],
        processes=processes, told=told,
    )  # fmt: skip


def search_batch(payload: tuple[str, tuple[tuple[int, str], ...], int, str]) -> Made:
    """Look through one part: the work that `run_batches` gives to its processes."""
    folder, parts, number, known_by = payload
    index = _load(folder, known_by)
    stored = list(unpack_documents(read_part(Path(folder) / DOCUMENTS, parts, number)))
    found = _found_in([own_text(one.document) for one in stored], index)
    counts: Counts = Counter(documents=len(stored), dropped=len(found))
    notes, lines = [], []
    for place, one in enumerate(stored):
        pieces = found.get(place, {})
        notes += [(one.document.place, piece) for piece in pieces]
        features = {"pieces": len(pieces), "most_of_one": max(pieces.values())} if pieces else {}
        reason = "contaminated" if pieces else ""
        lines.append({"id": one.id, "keep": not pieces, "reason": reason, "features": features})
    return Made({CONTAMINATION: as_lines(lines)}, counts, tuple(notes))


def _found_in(documents: Sequence[str], index: _Index) -> dict[int, dict[int, float]]:
    """Document -> {piece: share of its runs that stand there}, of those with half of a piece or more."""
    words = _plain_words(documents)
    hits = []
    for length in index.lengths.tolist():
        runs, offsets = runs_of(words, length)
        place = np.minimum(np.searchsorted(index.runs, runs), len(index.runs) - 1)
        there = np.flatnonzero(index.runs[place] == runs) if len(index.runs) else np.empty(0, np.int64)
        document = np.searchsorted(offsets, there, side="right") - 1
        hits.append(np.stack([document, place[there]], axis=1))
    found: dict[int, Counter[int]] = {}
    for number, run in np.unique(np.concatenate(hits), axis=0).tolist():
        pieces = index.of[index.starts[run] : index.starts[run + 1]]
        found.setdefault(number, Counter()).update(pieces.tolist())
    shares = {
        number: {piece: round(count / int(index.sizes[piece]), 4) for piece, count in counts.items()}
        for number, counts in found.items()
    }
    large = {number: {piece: part for piece, part in of.items() if part >= FOUND} for number, of in shares.items()}
    return {number: pieces for number, pieces in large.items() if pieces}


def _save(path: Path, index: _Index) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, runs=index.runs, starts=index.starts, of=index.of, sizes=index.sizes, lengths=index.lengths)
    write_whole(path, buffer.getvalue())


@functools.lru_cache(maxsize=1)
def _load(folder: str, known_by: str) -> _Index:
    """The index that stands in a folder; `known_by` tells one from another."""
    with np.load(Path(folder) / _INDEX, allow_pickle=False) as found:
        return _Index(found["runs"], found["starts"], found["of"], found["sizes"], found["lengths"])
