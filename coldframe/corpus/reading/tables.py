"""Tables with named columns: CSV, TSV and Parquet, one row at a time with its place."""

from __future__ import annotations

import collections
import csv
import importlib
import io
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from coldframe.corpus.documents import Quarantine, clean_text
from coldframe.corpus.reading.entries import Entry
from coldframe.corpus.reading.rows import ESCAPED, LONGEST, Row
from coldframe.corpus.reading.turns import ANSWERED, ASKED, SAID, SPEAKER
from coldframe.errors import DependencyError

_DAMAGED = re.compile(rf"\0|{ESCAPED.pattern}")
"""The zeros that stand where a disk or a copy failed, and bytes that are not UTF-8."""
_LOOKED_AT = 20
_SENTENCE = 60
"""Letters from which on a field with several words is taken for what somebody says."""
_USUAL = frozenset(
    (*SPEAKER, *SAID, *ASKED, *ANSWERED, "id", "title", "label", "label_id", "category", "date", "score")
)
"""Names that columns have."""
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
        records = _records(text, head, delimiter, entry.place, quarantine)
        first = list(itertools.islice(records, _LOOKED_AT))
        if _has_no_header([record for _, record, _ in first]):
            names = [str(number) for number in range(1, len(first[0][1]) + 1)]
        for place, record, is_again in itertools.chain(first, records):
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


def _has_no_header(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record is one like the others: it names nothing, and where it holds a sentence they do too."""
    if len(records) < 2 or len(records[0]) < 2:
        return False
    first, rest = records[0], [record for record in records[1:] if len(record) == len(records[0])]
    if not rest or any(name.strip().lower() in _USUAL for name in first):
        return False
    said = [column for column, text in enumerate(first) if _is_sentence(text)]
    alike = [column for column in said if sum(_is_sentence(record[column]) for record in rest) * 2 >= len(rest)]
    return bool(said) and len(alike) == len(said)


def _is_sentence(text: str) -> bool:
    """Whether it is what somebody says, and no column's name."""
    return " " in text.strip() and (len(text) >= _SENTENCE or text.rstrip(" \"')").endswith((".", "?", "!", "…", "。")))


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
    return ((place, row) for _, place, row in parquet_rows_from(entry, quarantine, (0, 0), frozenset()))


Where = tuple[int, int]
"""A place in a Parquet file: a row group, and so many rows of it."""


def parquet_rows_from(
    entry: Entry, quarantine: Quarantine, start: Where, needed: Collection[str]
) -> Iterator[tuple[Where, str, object]]:
    """(where the next one stands, place, row) of the rows from `start` on. Of a file that can be sought in the columns
    that can hold no text (pictures, sound, lists of numbers) are not read, unless they are `needed`."""
    pyarrow = pyarrow_module()
    try:
        with entry.open() as file:
            source = file if entry.on_disk else io.BytesIO(file.read(_WHOLE_PARQUET))
            with pyarrow.parquet.ParquetFile(source) as table:
                sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
                columns = _columns(pyarrow, table.schema_arrow, needed)
                if columns == []:
                    held = ", ".join(table.schema_arrow.names[:8]) or "nothing"
                    quarantine.add(entry.place, f"has no column that can hold text (it has {held})")
                    return
                for group in range(start[0], len(sizes)):
                    number, first = 0, start[1] if group == start[0] else 0
                    before = sum(sizes[:group])
                    for batch in table.iter_batches(256, row_groups=[group], columns=columns, use_threads=False):
                        if number + batch.num_rows <= first:
                            number += batch.num_rows
                            continue
                        for row in _rows_of(batch):
                            number += 1
                            place = f"{entry.place}:{before + number}"
                            if number <= first:
                                continue
                            if isinstance(row, ValueError):
                                quarantine.add(place, f"cannot be read: {row}")
                            else:
                                yield (group, number), place, row
                    if number != sizes[group]:
                        quarantine.add(entry.place, f"group {group} gave {number:,} rows of {sizes[group]:,}")
                if sum(sizes) != table.metadata.num_rows:
                    said = f"says that it holds {table.metadata.num_rows:,} rows and names {sum(sizes):,}"
                    quarantine.add(entry.place, said)
    except pyarrow.ArrowException as error:
        said = clean_text(str(error)).partition("\n")[0]
        quarantine.add(entry.place, f"cannot be read as Parquet{' on from here' if start != (0, 0) else ''}: {said}")


def _columns(pyarrow: Any, schema: Any, needed: Collection[str]) -> list[str] | None:
    """The columns that are read: those that may hold text, and single values beside them; None for all of them, also
    where names repeat. None is left where no column may hold text."""
    types = pyarrow.types
    texts = [column.name for column in schema if column.name in needed or _may_hold_text(types, column)]
    if not texts:
        return []
    names = [column.name for column in schema if column.name in texts or not types.is_nested(column.type)]
    return names if len(set(schema.names)) == len(schema.names) and len(names) < len(schema) else None


def _may_hold_text(types: Any, column: Any, *, is_within: bool = False) -> bool:
    """Whether a column, or a part of a nested one, may hold text: bytes may, but not where they stand for a picture or
    a sound, within something else."""
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_map(kind):
        return True
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _may_hold_text(types, kind.value_field, is_within=True)
    if types.is_struct(kind):
        parts = [kind.field(number) for number in range(kind.num_fields)]
        is_media = any(_is_binary(types, part.type) for part in parts)
        return not is_media and any(_may_hold_text(types, part, is_within=True) for part in parts)
    if _is_binary(types, kind):
        return not is_within
    return not (types.is_primitive(kind) or types.is_decimal(kind) or types.is_null(kind))


def _is_binary(types: Any, kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


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
