"""A dataset read in parts of some megabytes, one after the other, as far as it is wanted.

Where a part ends is known when it was read, so the next one begins there: in a Parquet file at a row of a row group,
in any other file behind so many documents. Who goes on later begins there again: of a Parquet file no more than the
row group is fetched twice, of another the file up to that place.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from coldframe.corpus.batches import Batch, Counts, key_of
from coldframe.corpus.documents import Document, Quarantine, Reader
from coldframe.corpus.hub.choosing import Wanted
from coldframe.corpus.hub.repository import File, Repository, amount, open_repository
from coldframe.corpus.reading.entries import DAMAGE, Entry, kind_of, opened
from coldframe.corpus.reading.formats import GUESS_ROWS, Told, documents_of, set_aside
from coldframe.corpus.reading.layout import Layout, guess
from coldframe.corpus.reading.paths import VERSION
from coldframe.corpus.reading.tables import Where, parquet_rows_from

_VERSION = 1
"""Raised when the same files give other documents. The code itself does not count: it would all be fetched again."""
_PART = 1 << 23
"""Bytes of text in a part."""
_EVERYTHING = 1 << 60
Start = Mapping[str, Any]
"""Where a part begins: `at`, and how rows are understood where that was found out before."""


class Parts:
    """The parts of a dataset as batches. Each is made of what was heard of the one before, so they come one by one."""

    def __init__(self, repository: Repository, room: int | None, source: str, layout: dict[str, Any] | None) -> None:
        self._repository, self._room, self._source, self._layout = repository, room, source, layout
        self._whole = min(repository.num_bytes, room or _EVERYTHING) or 1
        self._is_limited = room is not None
        self._next: Start | None = None
        self.done = 0.0
        """How much of it is read, 0 to 1."""

    def __iter__(self) -> Iterator[Batch]:
        repository = dataclasses.asdict(self._repository) | {"files": ()}
        for file in self._repository.files:
            start: Start | None = {"at": [0, 0], "guessed": None}
            while start is not None and (self._room is None or self._room > 0):
                payload = {
                    "source": self._source, "layout": self._layout, "hub": repository, "file": dataclasses.asdict(file),
                    "start": start, "room": self._room,
                }  # fmt: skip
                limit = min(_PART, _EVERYTHING if self._room is None else self._room)
                known_by = [self._repository.dataset, file.name, file.size, file.known_as, start, limit, self._layout]
                self._next = None
                yield Batch(key_of("hub", _VERSION, VERSION, self._source, *known_by), payload, 0)
                start = self._next
            if not self._is_limited:
                self.done += file.size / self._whole

    def heard(self, counts: Counts, notes: Sequence[Any]) -> None:
        """Of the last part, what it counted and where it ended."""
        self._next = next((note[1] for note in notes if note[0] == "next"), None)
        if self._room is not None:
            self._room -= counts["bytes"]
            self.done = min(1.0, self.done + counts["bytes"] / self._whole)


def read_dataset(payload: Mapping[str, Any], quarantine: Quarantine, told: Told) -> Iterator[Document | Start]:
    """The documents of a part, and at its end, when there is more of the file, where that begins."""
    repository = Repository(**payload["hub"])
    file, room = File(**payload["file"]), payload["room"]
    stream = _Stream.at(repository, file, payload["layout"], payload["start"])
    limit, size = min(_PART, _EVERYTHING if room is None else room), 0
    for at, document in stream.documents:
        yield document
        size += len(document.text.encode())
        if size >= limit:
            stream.left_at(at)
            yield {"at": list(at), "guessed": stream.guessed}
            break
    else:
        stream.close()
    for place, layout in stream.layouts.items():
        told(place, layout)
    for example in stream.bad.examples:
        quarantine.add(*example)
    stream.bad.examples.clear()


def open_hub(
    hub: str, revision: str, wanted: Wanted, limit: int | str | None, layout: Layout | None
) -> tuple[str, int, Reader]:
    """(fingerprint, bytes of files or of the text that is wanted of them, reader) of a dataset; raises as
    `open_repository`."""
    room = amount(limit)
    repository = open_repository(hub, revision, wanted, is_limited=room is not None)
    words = dataclasses.asdict(layout) if layout else None

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        parts = Parts(repository, room, "", words)
        for batch in parts:
            counts: Counts = Counter()
            notes: list[Any] = []
            for one in read_dataset(batch.payload, quarantine, lambda place, found: None):
                if isinstance(one, Document):
                    counts["bytes"] += len(one.text.encode())
                    yield one
                else:
                    notes.append(("next", one))
            parts.heard(counts, notes)

    files = [(file.name, file.size, file.known_as) for file in repository.files]
    fingerprint = key_of("hub", hub, repository.commit, files, room, words)
    return fingerprint, min(repository.num_bytes, room or _EVERYTHING), reader


class _Stream:
    """A file that is being read; between two parts it is kept open, so that nothing is read twice."""

    _kept: dict[str, _Stream] = {}

    def __init__(self, repository: Repository, file: File, layout: Layout | None, start: Start) -> None:
        self.layouts: dict[str, Layout] = {}
        self.guessed = start["guessed"]
        self.bad = Quarantine(keep=_EVERYTHING)
        self._known_as = [repository.dataset, repository.commit, file.name, file.known_as]
        ending, packing = kind_of(file.name)
        open_file = repository.opener(file)
        opener: Callable[[], AbstractContextManager[IO[bytes]]] = (
            open_file if ending == ".parquet" and not packing else lambda: opened(open_file, packing)
        )
        entry = Entry(Path(file.name), file.name, ending, opener, on_disk=not packing)
        at = (int(start["at"][0]), int(start["at"][1]))
        if ending == ".parquet":
            self.documents = self._rows(entry, layout or (Layout(**start["guessed"]) if start["guessed"] else None), at)
        else:
            self.documents = self._others(entry, layout, at[1])

    @classmethod
    def at(cls, repository: Repository, file: File, layout: dict[str, Any] | None, start: Start) -> _Stream:
        """The stream that was left there, or a new one."""
        known_as = key_of(repository.dataset, repository.commit, file.name, file.known_as, list(start["at"]))
        stream = cls._kept.pop(known_as, None)
        while cls._kept:
            cls._kept.popitem()[1].close()
        return stream or cls(repository, file, Layout(**layout) if layout else None, start)

    def left_at(self, at: tuple[int, int]) -> None:
        """Keep it for the next part."""
        self._kept[key_of(*self._known_as, list(at))] = self

    def close(self) -> None:
        """Close the file."""
        self.documents.close()

    def _rows(self, entry: Entry, layout: Layout | None, start: tuple[int, int]) -> Any:
        """Of a Parquet file: (where the next row stands, document)."""
        needed = _fields_of(layout)
        rows = self._until_damage(parquet_rows_from(entry, self.bad, start, needed), entry.place)
        first = list(itertools.islice(rows, GUESS_ROWS if layout is None else 1))
        if not first:
            if not self.bad.examples and start == (0, 0):
                self.bad.add(entry.place, "holds no rows")
            return
        layout = layout or guess([row for _, _, row in first])
        self.guessed = dataclasses.asdict(layout) if layout.guessed else None
        self.layouts[entry.place] = layout
        for at, place, row in itertools.chain(first, rows):
            try:
                document = layout.document(row, place)
            except (ValueError, RecursionError) as error:
                self.bad.add(place, str(error))
            else:
                yield at, document

    def _until_damage(
        self, rows: Iterator[tuple[Where, str, object]], place: str
    ) -> Iterator[tuple[Where, str, object]]:
        try:
            yield from rows
        except DAMAGE as error:
            set_aside(error, place, self.bad)

    def _others(self, entry: Entry, layout: Layout | None, skip: int) -> Any:
        """Of any other file: (0 and how many documents were read, document)."""
        found = documents_of(entry, layout, self.bad, lambda place, how: self.layouts.update({place: how}))
        for number, document in enumerate(found, 1):
            if number <= skip:
                self.bad.examples.clear()
            else:
                yield (0, number), document


def _fields_of(layout: Layout | None) -> frozenset[str]:
    """The names that a layout speaks of."""
    if layout is None:
        return frozenset()
    single = (layout.turns, layout.answer, layout.system, layout.good)
    return frozenset((*layout.text, *layout.question, *layout.columns, *(name for name in single if name)))
