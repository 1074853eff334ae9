"""Books on disk become conversations: for `coldframe corpus dialogue`, and for a source whose talk is wanted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldframe.corpus import dialogue, documents, reading, store
from coldframe.corpus.batches import Batch, Counts, Made, code_of, in_shares, key_of, run_batches
from coldframe.corpus.dialogue.exchanges import GAP, Spoken, exchanges
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.messages import Message
from coldframe.corpus.reading.entries import DAMAGE, Entry, entries
from coldframe.corpus.reading.formats import documents_of, is_known
from coldframe.corpus.reading.lines import decoded
from coldframe.corpus.reading.paths import open_files, place_of
from coldframe.corpus.store import as_lines
from coldframe.errors import SourceError

_BATCH = 1 << 21
_PLAIN = (".txt", ".text")
_LINES = "conversations.jsonl"
_EVERYTHING = 1 << 60
_NO_TALK = "holds no conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What was found in books."""

    books: int
    words: int
    conversations: int
    pairs: int
    """Turns with the turn that answers them."""
    set_aside: tuple[tuple[str, str], ...]
    """(place, reason) of what could not be read, or holds no conversation."""


def extract(
    paths: Sequence[Path],
    out: Path,
    *,
    gap: int = GAP,
    processes: int = 1,
    progress: Callable[[float], None] = lambda done: None,
) -> Extracted:
    """Write the conversations of books to `out`, a file of JSON lines {messages, source, spans}.

    Span i tells where message i begins and ends, in characters of the book's file; of a book that is not plain text, in
    characters of the text that is read from it. Who is killed goes on from there with the same call.

    Raises:
        SourceError: when no book holds a conversation.
        DiskFullError, CorpusError: as `run_batches`.
    """
    batches = list(_batches(paths, gap, out))
    told = in_shares(progress, sum(batch.size for batch in batches))
    work = out.parent / f".{out.name}.partial"  # what was made so far
    made = run_batches(
        batches, read_books, folder=work, name="dialogue", files=[_LINES], processes=processes, told=told
    )
    counts, set_aside = made.counts, tuple((note[0], note[1]) for note in made.notes)
    if not counts["conversations"]:
        shutil.rmtree(work)
        first = f", the first: {set_aside[0][0]}: {set_aside[0][1]}" if set_aside else ""
        raise SourceError(
            f"there is no conversation in {counts['books']:,} books{first}", advice="novels and plays hold some"
        )
    (work / _LINES).replace(out)
    shutil.rmtree(work)
    return Extracted(
        books=counts["books"], words=counts["words"], conversations=counts["conversations"], pairs=counts["pairs"],
        set_aside=set_aside,
    )  # fmt: skip


def conversations(books: Iterable[Document], gap: int, quarantine: Quarantine) -> Iterator[Document]:
    """The conversations in books, each a document; a book without any is set aside."""
    for book in books:
        found = [] if book.messages else exchanges(book.text, gap)
        if not found:
            quarantine.add(book.place, _NO_TALK)
        for exchange in found:
            messages = _messages(exchange)
            yield Document(
                text="\n\n".join(message.content for message in messages),
                place=f"{book.place}, character {exchange[0].spans[0][0]:,}",
                messages=messages,
            )


def read_books(payload: dict[str, Any]) -> Made:
    """The conversations in some books: the work that `run_batches` gives to its processes."""
    quarantine = Quarantine(keep=_EVERYTHING)
    counts: Counts = Counter()
    lines: list[dict[str, Any]] = []
    for path, place in payload["files"]:
        for book, text in _texts(Path(path), place, quarantine):
            found = exchanges(text, payload["gap"])
            if not found:
                quarantine.add(book, _NO_TALK)
            pairs = sum(len(exchange) - 1 for exchange in found)
            counts.update({"books": 1, "words": len(text.split()), "conversations": len(found), "pairs": pairs})
            lines.extend(_line(exchange, book) for exchange in found)
    return Made({_LINES: as_lines(lines)}, counts, tuple(quarantine.examples), quarantine.try_again)


def _texts(path: Path, place: str, quarantine: Quarantine) -> Iterator[tuple[str, str]]:
    """(place, text) of every book in a file."""
    try:
        for entry in entries(path, place, is_known, quarantine):
            if entry.ending in _PLAIN:
                text = _plain(entry, quarantine)
                if text is not None:
                    yield entry.place, text
                continue
            for document in documents_of(entry, None, quarantine):
                yield document.place, "" if document.messages else document.text
    except OSError as error:
        quarantine.add(place, f"cannot be read: {error.strerror or error}")
        quarantine.try_again = True


def _plain(entry: Entry, quarantine: Quarantine) -> str | None:
    """A file's text just as it stands there, so that places in it are right; without the lines that are not UTF-8."""
    try:
        with entry.open() as file:
            content = file.read()
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's refusal, not the file's damage
        quarantine.add(entry.place, f"cannot be read: {str(error) or type(error).__name__}")
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return decoded(content, entry.place, 1, quarantine)


def _messages(exchange: list[Spoken]) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return tuple(Message(role=roles[number % 2], content=spoken.text) for number, spoken in enumerate(exchange))


def _line(exchange: list[Spoken], book: str) -> dict[str, Any]:
    return {
        "messages": [{"role": message.role, "content": message.content} for message in _messages(exchange)],
        "source": book,
        "spans": [[spoken.spans[0][0], spoken.spans[-1][1]] for spoken in exchange],
    }


def _batches(paths: Sequence[Path], gap: int, out: Path) -> Iterator[Batch]:
    """Files of some megabytes; what an earlier call wrote among the books is no book."""
    code = code_of(dialogue, reading, documents, store)
    for path in paths:
        root, files, _ = open_files(path)
        group: list[Path] = []
        size = 0
        for file in files:
            if file.resolve() == out.resolve():
                continue
            group.append(file)
            size += file.stat().st_size
            if size >= _BATCH:
                yield _batch(group, root, gap, code)
                group, size = [], 0
        if group:
            yield _batch(group, root, gap, code)


def _batch(files: list[Path], root: Path, gap: int, code: str) -> Batch:
    places = [place_of(file, root) for file in files]
    stats = [file.stat() for file in files]
    known_by = [(place, stat.st_size, stat.st_mtime_ns) for place, stat in zip(places, stats, strict=True)]
    payload = {"gap": gap, "files": [(str(file), place) for file, place in zip(files, places, strict=True)]}
    return Batch(key_of(code, gap, known_by), payload, sum(stat.st_size for stat in stats))
