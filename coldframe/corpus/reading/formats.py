"""Which ending is read in which way: an entry becomes documents, one at a time."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable, Iterable, Iterator

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.reading.entries import DAMAGE, Entry
from coldframe.corpus.reading.layout import Layout, guess
from coldframe.corpus.reading.lines import decoded, page_source, parts, whole_text
from coldframe.corpus.reading.pages import epub_parts, html_text, markdown_text, part_text, rst_text
from coldframe.corpus.reading.rows import Row, json_lines, json_rows, yaml_rows
from coldframe.corpus.reading.tables import parquet_rows, table_rows

Rows = Callable[[Entry, Quarantine], Iterator[Row]]
Told = Callable[[str, Layout], None]
"""Told which layout a file of rows is read with: (place, layout)."""
GUESS_ROWS = 50
"""Rows by which a file's fields are understood."""
_PAGE = 1 << 24
"""Bytes of a page of markup, or of a part of a book."""
_BOOK = 1 << 28


def documents_of(
    entry: Entry, layout: Layout | None, quarantine: Quarantine, told: Told = lambda place, layout: None
) -> Iterator[Document]:
    """The documents of an entry; what cannot be read is set aside, also when it is damaged half way through.

    Without a `layout` a file of rows is read as its first rows suggest.
    """
    read = _ROWS.get(entry.ending)
    try:
        if read is None:
            yield from _TEXTS[entry.ending](entry, quarantine)
        else:
            num_before = quarantine.count
            rows = _until_damage(read(entry, quarantine), entry.place, quarantine)
            first = list(itertools.islice(rows, GUESS_ROWS))
            if not first:
                if quarantine.count == num_before:
                    quarantine.add(entry.place, "holds no rows")
                return
            layout = layout or guess([row for _, row in first])
            told(entry.place, layout)
            yield from laid_out(itertools.chain(first, rows), layout, quarantine)
    except DAMAGE as error:
        set_aside(error, entry.place, quarantine)


def pieces_of(entry: Entry, quarantine: Quarantine) -> Iterator[tuple[str, str]]:
    """(place, text) of every text in an entry, whatever it means: each string of a row, each paragraph of a page."""
    read = _ROWS.get(entry.ending)
    try:
        if read is None:
            for document in _TEXTS[entry.ending](entry, quarantine):
                for piece in document.text.split("\n\n"):
                    yield document.place, piece
            return
        for place, row in _until_damage(read(entry, quarantine), entry.place, quarantine):
            for piece in _strings(row):
                yield place, piece
    except DAMAGE as error:
        set_aside(error, entry.place, quarantine)


def _strings(value: object) -> Iterator[str]:
    """Every string in a value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _until_damage(rows: Iterator[Row], place: str, quarantine: Quarantine) -> Iterator[Row]:
    """The rows before the damage, which is set aside: also when they are too few to guess from."""
    try:
        yield from rows
    except DAMAGE as error:
        set_aside(error, place, quarantine)


def set_aside(error: Exception, place: str, quarantine: Quarantine) -> None:
    """Set aside what is damaged from here on; raises what is the system's refusal and no damage."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    quarantine.add(place, f"cannot be read on from here: {str(error) or type(error).__name__}")


def laid_out(rows: Iterable[Row], layout: Layout, quarantine: Quarantine) -> Iterator[Document]:
    """The documents in rows; a bad row is set aside."""
    for place, row in rows:
        try:
            yield layout.document(row, place)
        except (ValueError, RecursionError) as error:
            quarantine.add(place, str(error))


def _text(entry: Entry, quarantine: Quarantine) -> Iterator[Document]:
    """A whole file as one document, or a very long one in parts."""
    with entry.open() as file:
        rest = parts(file)
        first = list(itertools.islice(rest, 2))
        single, before, found = len(first) < 2, quarantine.count, False
        for number, (line, piece) in enumerate(itertools.chain(first, rest), 1):
            text = decoded(piece, entry.place, line, quarantine)
            if text is not None and text.strip():
                found = True
                yield Document(text=text, place=entry.place if single else f"{entry.place} part {number}")
        if not found and quarantine.count == before:
            quarantine.add(entry.place, "is empty")


def _marked_up(convert: Callable[[str], str]) -> Callable[[Entry, Quarantine], Iterator[Document]]:
    def read(entry: Entry, quarantine: Quarantine) -> Iterator[Document]:
        with entry.open() as file:
            source = whole_text(file, entry.place, quarantine, _PAGE)
        if source is not None:
            yield from _converted(convert(source), entry.place, quarantine)

    return read


def _page(entry: Entry, quarantine: Quarantine) -> Iterator[Document]:
    with entry.open() as file:
        content = file.read(_PAGE + 1)
    if len(content) > _PAGE:
        quarantine.add(entry.place, f"is larger than {_PAGE >> 20} MB, which no page is")
        return
    source = page_source(content, entry.place, quarantine)
    if source is not None:
        yield from _converted(html_text(source), entry.place, quarantine)


def _converted(text: str, place: str, quarantine: Quarantine) -> Iterator[Document]:
    if text.strip():
        yield Document(text=text, place=place)
    else:
        quarantine.add(place, "holds no text")


def _book(entry: Entry, quarantine: Quarantine) -> Iterator[Document]:
    """One document a part of the book, as chapters mostly are."""
    found, num_before = False, quarantine.count
    with entry.open() as file:
        content = file.read(_BOOK + 1)
    try:
        if len(content) > _BOOK:
            raise ValueError(f"it is larger than {_BOOK >> 20} MB")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in epub_parts(archive):
                text = _part(archive, name, f"{entry.place}: {name}", quarantine)
                if text:
                    found = True
                    yield Document(text=text + "\n", place=f"{entry.place}: {name}")
    except (ValueError, LookupError, *DAMAGE) as error:
        quarantine.add(entry.place, f"is not an EPUB: {error}")
    if not found and quarantine.count == num_before:
        quarantine.add(entry.place, "holds no text")


def _part(archive: zipfile.ZipFile, name: str, place: str, quarantine: Quarantine) -> str:
    """What a part of a book says; nothing when it is set aside."""
    try:
        member = archive.getinfo(name)
        if member.flag_bits & 1:
            raise ValueError("is encrypted")
        if member.file_size > _PAGE:
            raise ValueError(f"is larger than {_PAGE >> 20} MB, which no page is")
        source = page_source(archive.read(member), place, quarantine)
    except KeyError:
        quarantine.add(place, "is missing in the book")
    except (ValueError, *DAMAGE) as error:
        quarantine.add(place, f"cannot be read: {str(error) or type(error).__name__}")
    else:
        return part_text(source) if source is not None else ""
    return ""


_TEXTS: dict[str, Callable[[Entry, Quarantine], Iterator[Document]]] = {
    ".txt": _text,
    ".text": _text,
    ".md": _marked_up(markdown_text),
    ".markdown": _marked_up(markdown_text),
    ".rst": _marked_up(rst_text),
    ".html": _page,
    ".htm": _page,
    ".xhtml": _page,
    ".epub": _book,
}
_ROWS: dict[str, Rows] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_rows,
    ".yaml": yaml_rows,
    ".yml": yaml_rows,
    ".csv": table_rows,
    ".tsv": table_rows,
    ".parquet": parquet_rows,
}
ENDINGS = (*_TEXTS, *_ROWS)
"""The kinds of file that are read; each also packed (.gz, .xz, .bz2, .zst) and within .tar and .zip."""


def is_known(ending: str) -> bool:
    """Whether files with this ending are read."""
    return ending in _TEXTS or ending in _ROWS


def is_of_rows(ending: str) -> bool:
    """Whether such a file holds rows, whose fields a layout explains."""
    return ending in _ROWS
