"""Tables with named columns: CSV, TSV and Parquet, one row at a time with its place."""

from __future__ import annotations

import collections
import csv
import importlib
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading.entries import Entry
from coldframe.corpus.reading.rows import ESCAPED, LONGEST, Row
from coldframe.errors import DependencyError

_DAMAGED = re.compile(rf"\0|{ESCAPED.pattern}")
"""The zeros that stand where a disk or a copy failed, and bytes that are not UTF-8."""
_READ_AGAIN = 1_000_000
"""Lines of a file that are read once more at most, behind quotation marks that nobody closed."""
_WHOLE_PARQUET = 1 << 31
"""Bytes of Parquet that are read out of what they are packed in."""
csv.field_size_limit(LONGEST - 1)


def table_rows(entry: Entry, quarantine: Quarantine) -> Iterator[Row]:
    """A row a record, with the names of the first line; the delimiter is a tab, or the likelier of comma and
    semicolon."""
    with entry.open() as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        head = text.readline(LONGEST)
        delimiter = "\t" if entry.ending == ".tsv" or "\t" in head else max(",;", key=head.count)
        names: list[str] | None = None
        for place, record, is_again in _records(text, head, delimiter, entry.place, quarantine):
            is_damaged = any(map(_DAMAGED.search, record))
            if names is None:
                names = _names(record)
                if is_damaged:
                    quarantine.add(place, "holds zero bytes or bytes that are not UTF-8, in names of columns")
            elif not any(record):
                continue
            elif len(record) > len(names) or (is_again and (len(record) < len(names) or len(names) == 1)):
                quarantine.add(place, f"has {len(record)} fields under {len(names)} names")
            elif is_damaged:
                quarantine.add(place, "holds zero bytes or bytes that are not UTF-8")
            else:
                yield place, dict(zip(names, record, strict=False))


def _names(record: Sequence[str]) -> list[str]:
    """The names of the columns, each once, so that none hides another."""
    found: dict[str, None] = {}
    numbers: dict[str, Iterator[int]] = {}
    for name in (_DAMAGED.sub("", name) for name in record):
        chosen = name
        while chosen in found:
            chosen = f"{name} {next(numbers.setdefault(name, itertools.count(2)))}"
        found[chosen] = None
    return list(found)


def _records(
    text: io.TextIOWrapper, head: str, delimiter: str, place: str, quarantine: Quarantine
) -> Iterator[tuple[str, list[str], bool]]:
    """(place, record, whether it was read before) of a table whose first line is `head`. A quotation mark that nobody
    closes costs its line; the lines that it would swallow are read again."""
    number, held, again, num_again, is_ended = 1, list[str](), collections.deque([head]), 0, False

    def lines() -> Iterator[str]:
        nonlocal is_ended
        while line := again.popleft() if again else text.readline(LONGEST):
            rest = line
            while len(rest) == LONGEST and not rest.endswith(("\n", "\r")):  # no field is that long
                rest = text.readline(LONGEST)
            held.append(line)
            yield line
        is_ended = True

    reader = csv.reader(lines(), delimiter=delimiter)
    last_again = 0
    while True:
        reason = ""
        try:
            record = next(reader, None)
        except csv.Error as error:
            record, reason = [], f"is not a record: {error}"
        if record is None:
            return
        if not reason and ((is_ended and held) or (len(held) > 1 and not _is_strict(held, delimiter))):
            reason = "has a quotation mark that is not closed"
        if not reason:
            yield f"{place}:{number}", record, number <= last_again
            number += len(held)
        else:
            quarantine.add(f"{place}:{number}", reason)
            num_again += len(held) - 1
            if num_again <= _READ_AGAIN:
                last_again = number + len(held) - 1
                again.extendleft(reversed(held[1:]))
                number += 1
            else:
                quarantine.add(f"{place}:{number + 1}", f"{len(held) - 1:,} lines are left out behind that mark")
                number += len(held)
            reader, is_ended = csv.reader(lines(), delimiter=delimiter), False
        held.clear()


def _is_strict(held: Sequence[str], delimiter: str) -> bool:
    """Whether the lines are one record to the letter: where nobody closed a mark, the next one does, before a word."""
    try:
        collections.deque(csv.reader(held, delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error:
        return False
    return True


def parquet_rows(entry: Entry, quarantine: Quarantine) -> Iterator[Row]:
    """The rows of a Parquet file, a few hundred at a time."""
    pyarrow = pyarrow_module()
    try:
        with entry.open() as file:
            source = file if entry.on_disk else io.BytesIO(file.read(_WHOLE_PARQUET))
            with pyarrow.parquet.ParquetFile(source) as table:
                number = 0
                for batch in table.iter_batches(batch_size=256, use_threads=False):
                    for row in _rows_of(batch):
                        number += 1
                        if isinstance(row, ValueError):
                            quarantine.add(f"{entry.place}:{number}", f"cannot be read: {row}")
                        else:
                            yield f"{entry.place}:{number}", row
    except pyarrow.ArrowException as error:
        quarantine.add(entry.place, f"cannot be read as Parquet: {error}")


def _rows_of(batch: Any) -> Iterator[dict[str, Any] | ValueError]:
    """The rows of a batch, or what is wrong with one."""
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError):
        names = _names(batch.schema.names)
    for number in range(batch.num_rows):
        try:
            yield {name: _cell(batch.column(column)[number]) for column, name in enumerate(names)}
        except ValueError as error:
            yield error


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):  # a time that Python's own cannot hold, which is no text either
        return None


def pyarrow_module() -> Any:
    """The module pyarrow.

    Raises:
        DependencyError: when it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DependencyError(
            "reading .parquet needs pyarrow, which is not installed", advice="type: pip install pyarrow"
        ) from error
