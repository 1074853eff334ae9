"""A file or a folder of a person's own text, opened: what would be read, and the reading itself."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

from coldframe.corpus.documents import Document, Quarantine, Reader
from coldframe.corpus.reading.entries import ARCHIVES, entries, kind_of, shown, walk
from coldframe.corpus.reading.formats import ENDINGS, Told, documents_of, is_known, is_of_rows
from coldframe.corpus.reading.layout import Layout
from coldframe.corpus.reading.tables import pyarrow_module
from coldframe.corpus.store import DOCUMENTS, is_corpus
from coldframe.errors import SourceError

_log = logging.getLogger("coldframe")
_LOOK_AT = 5
"""Files of each kind that are looked at before all are read."""
VERSION = 6
"""Raised when the same files give other documents, so that prepared shards are made again."""


def open_files(path: str | Path) -> tuple[Path, list[Path], str]:
    """(root, files to read in a fixed order, what is left alone) of a file or folder.

    Raises:
        SourceError: when nothing in it can be read.
        DependencyError: when a file needs a package that is not installed.
    """
    root = Path(path).expanduser()
    files, others = walk(root, is_known)
    made = {file.parent for file in files if file.name == DOCUMENTS and is_corpus(file.parent)}
    if root in made:
        raise SourceError(
            f"{root} is a folder of documents that was made of files, and not of files itself",
            advice="name the files, or let a recipe's source read it: path and, for the talk in it, dialogue",
        )
    if made:  # what a verb made lies within: to read it again would double every text
        files = [file for file in files if made.isdisjoint(file.parents)]
        others["folder of documents"] += len(made)
    if not files:
        raise SourceError(f"{root} {_nothing(root, others)}", advice=f"the kinds are {' '.join((*ENDINGS, *ARCHIVES))}")
    if any(kind_of(file.name)[0] == ".parquet" for file in files):
        pyarrow_module()
    return root, files, _left_alone(others)


def open_path(path: str, layout: Layout | None) -> tuple[str, int, Reader, str]:
    """(fingerprint, bytes on disk, reader, what was left alone) of a file or folder; raises as `open_files`."""
    root, files, left_alone = open_files(path)
    stats = []
    for file in files:
        stat = file.stat()
        stats.append((file.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    known_by = [VERSION, os.path.realpath(root), dataclasses.asdict(layout) if layout else None, stats]
    fingerprint = xxhash.xxh3_128_hexdigest(json.dumps(known_by).encode())

    told: set[str] = set()

    def tell(place: str, found: Layout) -> None:
        if found.guessed and str(found) not in told:  # once, however often the text is read
            told.add(str(found))
            _log.info("%s is read as %s: a guess, which the source's mapping can correct", place, found)

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        for file in files:
            yield from read_file(file, place_of(file, root), layout, quarantine, tell)

    return fingerprint, sum(size for _, size, _ in stats), reader, left_alone


def first_layouts(root: Path, files: Sequence[Path]) -> dict[str, str]:
    """Of the first few files of each kind that hold rows: place -> how their fields would be understood."""
    found: dict[str, str] = {}
    looked_at: Counter[str] = Counter()
    for file in files:
        kind = kind_of(file.name)[0]
        if looked_at[kind] >= _LOOK_AT or not (is_of_rows(kind) or kind in ARCHIVES):
            continue
        looked_at[kind] += 1
        for _ in read_file(
            file, place_of(file, root), None, Quarantine(), lambda place, layout: found.update({place: str(layout)})
        ):
            break  # the first document is enough to know
    return found


def place_of(file: Path, root: Path) -> str:
    """How a file under `root` is named for people."""
    return shown(file.relative_to(root).as_posix() if file != root else root.name)


def read_file(
    file: Path,
    place: str,
    layout: Layout | None,
    quarantine: Quarantine,
    told: Told = lambda place, layout: None,
) -> Iterator[Document]:
    """The documents of one file on disk, or of all that an archive holds; `told` hears how rows are understood."""
    try:
        for entry in entries(file, place, is_known, quarantine):
            yield from documents_of(entry, layout, quarantine, told)
    except OSError as error:
        quarantine.add(place, f"cannot be read: {error.strerror or error}")
        quarantine.try_again = True


def _nothing(root: Path, others: Counter[str]) -> str:
    if root.is_file():
        return "is not of a kind that is read"
    seen = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(4)) or "nothing"
    return f"holds no text that can be read (it holds {seen})"


def _left_alone(others: Counter[str]) -> str:
    """How many files of which other kinds a folder holds, for people; nothing when there are none."""
    num_files = others.total()
    if not num_files:
        return ""
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(4))
    more = ", ..." if len(others) > 4 else ""
    return f"{num_files:,} {'file' if num_files == 1 else 'files'} of other kinds left alone ({kinds}{more})"
