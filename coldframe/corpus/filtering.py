"""Verdicts over a folder of documents: attributes beside the text, and the report of what would be dropped."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash

from coldframe.corpus import filters
from coldframe.corpus.batches import Batch, Counts, Made, Told, Work, code_of, key_of, run_batches
from coldframe.corpus.documents import Document, Quarantine, Reader
from coldframe.corpus.filters.judging import Criteria, Verdict, judge
from coldframe.corpus.store import (
    DEDUP,
    DOCUMENTS,
    FILTER,
    IMPROVED,
    TEACHER,
    Stored,
    as_lines,
    read_manifest,
    read_part,
    unpack_documents,
    unpack_file,
)
from coldframe.errors import CorpusError

_log = logging.getLogger("coldframe")
_EXAMPLES = 5
"""Examples of each reason that a report shows."""
_EXCERPT = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """What the filters did to a source."""

    documents_in: int
    bytes_in: int
    documents_kept: int
    bytes_kept: int
    dropped: dict[str, int]
    """Reason -> documents."""
    examples: dict[str, list[tuple[str, str]]]
    """Reason -> (place, how the text begins) of a few."""
    criteria: dict[str, Any]


def filter_documents(
    folder: Path,
    criteria: Criteria,
    *,
    processes: int = 1,
    told: Told = lambda size: None,
    work: Work | None = None,
) -> Filtered:
    """Judge every document of a folder; the verdicts stand beside them. `work` is `judge_batch`, or gives the same.

    When they change, what was said of duplicates no longer holds and is taken away: the one that was kept may be among
    what is dropped now, and both would be lost.

    Raises:
        CorpusError, DiskFullError: what was judged stays, and the next call goes on from there.
    """
    settings = dataclasses.asdict(criteria)
    batches = batches_of(folder, criteria)
    before = _hash(folder / FILTER)
    done = run_batches(
        batches, work or judge_batch, folder=folder, name="filter", files=[FILTER], processes=processes, told=told
    )
    if _hash(folder / FILTER) != before and (folder / DEDUP).exists():
        (folder / DEDUP).unlink()
        _log.warning("the verdicts in %s changed: look for duplicates again (coldframe corpus dedup)", folder)
    examples: dict[str, list[tuple[str, str]]] = {}
    for reason, place, text in done.notes:
        if len(examples.setdefault(reason, [])) < _EXAMPLES:
            examples[reason].append((place, text))
    counts = done.counts
    return Filtered(
        documents_in=counts["in"],
        bytes_in=counts["bytes in"],
        documents_kept=counts["kept"],
        bytes_kept=counts["bytes kept"],
        dropped={
            name.removeprefix("dropped "): count for name, count in counts.most_common() if name.startswith("dropped ")
        },
        examples=examples,
        criteria=settings,
    )


def batches_of(folder: Path, criteria: Criteria) -> list[Batch]:
    """A batch for each part of a folder of documents; raises CorpusError when it is none."""
    parts, settings, code = read_manifest(folder).parts, dataclasses.asdict(criteria), code_of(filters)
    return [
        Batch(key_of(known_as, settings, code), (str(folder), parts, number, settings), size)
        for number, (size, known_as) in enumerate(parts)
    ]


def judge_batch(payload: tuple[str, tuple[tuple[int, str], ...], int, dict[str, Any]]) -> Made:
    """Judge one part: the work that `run_batches` gives to its processes."""
    folder, parts, number, settings = payload
    stored = list(unpack_documents(read_part(Path(folder) / DOCUMENTS, parts, number)))
    return as_verdicts(stored, judge([one.document for one in stored], Criteria(**settings)))


def as_verdicts(stored: Sequence[Stored], verdicts: Sequence[Verdict]) -> Made:
    """The verdicts of a part as lines, with what is counted of them and the first examples of each reason."""
    counts: Counts = Counter()
    notes: list[tuple[str, str, str]] = []
    for one, verdict in zip(stored, verdicts, strict=True):
        size = len(one.document.text.encode())
        counts.update({"in": 1, "bytes in": size})
        if verdict.keep:
            counts.update({"kept": 1, "bytes kept": size})
        else:
            counts[f"dropped {verdict.reason}"] += 1
            if counts[f"dropped {verdict.reason}"] <= _EXAMPLES:
                notes.append((verdict.reason, one.document.place, one.document.text[:_EXCERPT]))
    lines = (
        {"id": one.id, "keep": verdict.keep, "reason": verdict.reason, "features": verdict.features}
        for one, verdict in zip(stored, verdicts, strict=True)
    )
    return Made({FILTER: as_lines(lines)}, counts, tuple(notes))


def kept_documents(folder: Path, also: Sequence[Path] = (), parts: range | None = None) -> Iterator[Stored]:
    """The documents of a folder (or of some of its parts) without those that an attribute drops, in their better form
    where they have one: the view that everything later reads.

    `also` are files of verdicts that stand elsewhere, as those on duplicates among the sources of one run.

    Raises:
        CorpusError: when an attribute speaks of other documents than those beside it.
    """
    found = judged_documents(folder, also=also, parts=parts)
    return (one for one, said in found if all(line["keep"] for line in said))


def open_corpus(folder: Path, also: Sequence[Path] = ()) -> tuple[str, int, Reader]:
    """(fingerprint, bytes of text, reader) of a folder of documents: of those that its attributes keep.

    Raises:
        CorpusError: when it is none.
    """
    manifest = read_manifest(folder)
    attributes = [_hash(path) for path in (*attributes_of(folder), *also, folder / IMPROVED)]

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        for place, reason in manifest.quarantined:
            quarantine.add(place, reason)
        for one in kept_documents(folder, also):
            yield one.document

    return key_of("corpus", manifest.parts, attributes), manifest.counts["bytes"], reader


def judged_documents(
    folder: Path, but: str = "", also: Sequence[Path] = (), parts: range | None = None
) -> Iterator[tuple[Stored, list[dict[str, Any]]]]:
    """Every document of a folder, in its better form where it has one, with what each attribute but one says of it;
    raises as `kept_documents`."""
    manifest = read_manifest(folder)
    beside = [(path, _lines(path)) for path in (*attributes_of(folder), *also) if path != folder / but]
    better = unpack_file(folder / IMPROVED) if (folder / IMPROVED).exists() else None
    if better is not None:
        beside.append((folder / IMPROVED, better))
    for number, size in enumerate(manifest.sizes):
        if parts is not None and number not in parts:
            for _, lines in beside:
                next(itertools.islice(lines, size - 1, size), None)
            continue
        for one in unpack_documents(read_part(folder / DOCUMENTS, manifest.parts, number)):
            said = [(path, next(lines, {"id": ""})) for path, lines in beside]
            for path, line in said:
                if line["id"] != one.id:
                    raise CorpusError(
                        f"{path} does not speak of the documents beside it",
                        advice="run the verb that made it again: what has not changed is not done twice",
                    )
            form = said.pop()[1] if better is not None else {}
            yield _improved(one, form), [line for _, line in said]


def _improved(one: Stored, form: dict[str, Any]) -> Stored:
    """A document in its better form."""
    document = one.document
    if "text" in form:
        document = dataclasses.replace(document, text=form["text"])
    elif "contents" in form:
        both = zip(document.messages, form["contents"], strict=True)
        messages = tuple(dataclasses.replace(message, content=content) for message, content in both)
        document = dataclasses.replace(document, messages=messages, text="\n\n".join(form["contents"]))
    return one if document is one.document else dataclasses.replace(one, document=document)


def attributes_of(folder: Path) -> list[Path]:
    """The attribute files of a folder; the reasons of the teacher and of the filters are given before any other."""
    first = (folder / TEACHER, folder / FILTER)
    paths = sorted((folder / "attributes").glob("*.jsonl"))
    return sorted(paths, key=lambda path: first.index(path) if path in first else len(first))


def _hash(path: Path) -> str:
    """A hash of a file's content; empty when it is not there."""
    seen = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                seen.update(block)
    except FileNotFoundError:
        return ""
    return seen.hexdigest()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from map(orjson.loads, file)
