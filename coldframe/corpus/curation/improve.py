"""Texts made more readable, beside the original: what was done stands with each, and is undone by deleting the file.

Only form is touched, never words: what is around a book and not of it, marks of pages, letters that went through a
wrong encoding, lines that somebody wrapped, and spaces.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftfy

from coldframe.corpus.batches import Batch, Counts, Made, Told, code_of, key_of, run_batches
from coldframe.corpus.dialogue import paragraphs
from coldframe.corpus.dialogue.paragraphs import body
from coldframe.corpus.documents import Document
from coldframe.corpus.filters.rules import TALK
from coldframe.corpus.store import DOCUMENTS, IMPROVED, Stored, pack, read_manifest, read_part, unpack_documents

_PAGE_MARKS = re.compile(
    r"^[ \t]*(?:\[(?:Illustration|Pg|Page|Blank Page)[^\]\n]{0,200}\]|\{\d{1,4}\}|-? ?\d{1,4} ?-)[ \t]*\n+",
    re.MULTILINE,
)
_TRAILING = re.compile(r"[ \t\u00a0]+$", re.MULTILINE)
_MANY_EMPTY = re.compile(r"\n{4,}")
_WRAPPED = (45, 95)
"""Characters between which the longest lines of a wrapped text are."""
_FULL = 0.6
"""Share of a paragraph's lines that come near its longest, from which on it is wrapped."""
_LISTED = re.compile(r"^(?:\s{2,}|[-*•+|>#\d]|[A-Z]{2,}[.:])")


@dataclass(slots=True)
class Improved:
    """What was done to a folder of documents."""

    documents: int = 0
    changed: int = 0
    changes: dict[str, int] | None = None
    """What was done -> to how many documents."""


def improve(text: str, kind: str) -> tuple[str, tuple[str, ...]]:
    """A text in better form, and what was done to it: of furniture, encoding, page-marks, wrapping, spaces."""
    changes: list[str] = []
    steps = {"encoding": ftfy.fix_encoding, "spaces": _spaced}
    if kind not in TALK:
        steps = {"furniture": _book, "encoding": ftfy.fix_encoding, "page-marks": _without_marks, "spaces": _spaced}
    if kind == "prose":
        steps["wrapping"] = _unwrapped
    for name, step in steps.items():
        better = step(text)
        if better != text and better.strip():
            text, changes = better, [*changes, name]
    return text, tuple(changes)


def improve_documents(folder: Path, *, processes: int = 1, told: Told = lambda size: None) -> Improved:
    """Write the better form of each document of a folder beside it; whatever reads the folder later reads that.

    Raises:
        CorpusError, DiskFullError: what was made stays, and the next call goes on from there.
    """
    manifest = read_manifest(folder)
    kind, code = str(manifest.source["kind"]), code_of(sys.modules[__name__], paragraphs)
    batches = [
        Batch(key_of(known_as, kind, code), (str(folder), manifest.parts, number, kind), size)
        for number, (size, known_as) in enumerate(manifest.parts)
    ]
    done = run_batches(
        batches, improve_batch, folder=folder, name="improve", files=[IMPROVED], processes=processes, told=told
    )
    changes = {name.removeprefix("did "): n for name, n in done.counts.most_common() if name.startswith("did ")}
    return Improved(documents=done.counts["documents"], changed=done.counts["changed"], changes=changes)


def improve_batch(payload: tuple[str, tuple[tuple[int, str], ...], int, str]) -> Made:
    """Improve one part: the work that `run_batches` gives to its processes."""
    folder, parts, number, kind = payload
    counts: Counts = Counter()
    lines = []
    for one in unpack_documents(read_part(Path(folder) / DOCUMENTS, parts, number)):
        line = _line(one, kind)
        counts["documents"] += 1
        counts["changed"] += "changes" in line
        counts.update(f"did {change}" for change in line.get("changes", ()))
        lines.append(line)
    return Made({IMPROVED: pack(lines)}, counts)


def _line(one: Stored, kind: str) -> dict[str, Any]:
    """What is new of a document; nothing but its id where nothing is."""
    document: Document = one.document
    if not document.messages:
        text, changes = improve(document.text, kind)
        return {"id": one.id, "text": text, "changes": changes} if changes else {"id": one.id}
    better = [improve(message.content, kind) for message in document.messages]
    changes = tuple(dict.fromkeys(change for _, done in better for change in done))
    return {"id": one.id, "contents": [text for text, _ in better], "changes": changes} if changes else {"id": one.id}


def _book(text: str) -> str:
    start, end = body(text)
    return text[start:end].strip("\n") + "\n" if (start, end) != (0, len(text)) else text


def _without_marks(text: str) -> str:
    return _PAGE_MARKS.sub("", text)


def _spaced(text: str) -> str:
    return _MANY_EMPTY.sub("\n\n\n", _TRAILING.sub("", text))


def _unwrapped(text: str) -> str:
    """Wrapped paragraphs in one line each; verse, lists and tables as they are."""
    return "\n\n".join(_joined(paragraph) for paragraph in text.split("\n\n"))


def _joined(paragraph: str) -> str:
    lines = paragraph.split("\n")
    if len(lines) < 2 or any(_LISTED.match(line) for line in lines[1:]) or any(line.endswith("-") for line in lines):
        return paragraph
    longest = max(map(len, lines))
    near = sum(len(line) > 0.75 * longest for line in lines[:-1]) / (len(lines) - 1)
    if not _WRAPPED[0] <= longest <= _WRAPPED[1] or near < _FULL:
        return paragraph
    verse = sum(line[:1].isupper() for line in lines if line) > 0.8 * len(lines) and len(lines) > 3
    return paragraph if verse else " ".join(line.strip() for line in lines if line.strip())
