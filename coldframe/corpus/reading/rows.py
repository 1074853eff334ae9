"""Files of rows whose values may be of any shape: JSON lines, JSON and YAML, one row at a time with its place.

A row that cannot be read is set aside with its place; the rows before and behind it are read all the same.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import orjson
import yaml

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading.entries import Entry
from coldframe.corpus.reading.lines import whole_text
from coldframe.corpus.reading.streams import joined

Row = tuple[str, object]
"""A place and what stands there."""
_WHOLE = 1 << 25
"""Bytes of JSON that are read at once; a longer list is read element by element."""
_WHOLE_YAML = 1 << 25
_DEEPEST = 200
_MAYBE_DEEP = re.compile(r"^[ \t?:-]{300}", re.MULTILINE)
_MOST_REPEATED = 1_000_000
"""Fields that the aliases of YAML may stand for, more than it has letters."""
_MOST_MERGED = 100
#: What text that is no YAML raises; the last three where a tag stands over a value that it does not fit.
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError)
LONGEST = 1 << 26
"""Bytes of a line, or of an element of a list; a longer one is no row, and memory is not for it."""
_CHUNK = 1 << 20
_INSIDE = ("data", "rows", "examples", "items", "records", "conversations", "dialogues", "dialogs", "documents")
"""Names of the list that the one object of a JSON or YAML file holds its rows in."""
_FEW_KEYED = 3
ESCAPED = re.compile("[\udc80-\udcff]")
"""What a byte that is not UTF-8 is read as, so that only its row is lost."""
_OVERLAP = 1000
"""Letters between two elements and of a field's name that are looked at together, at most."""
_NEXT = re.compile(r"[}\]]\s*,\s*(?=[{\[])")
_BETWEEN = re.compile(r"[ \t\r\n,]*")


def json_lines(entry: Entry, quarantine: Quarantine) -> Iterator[Row]:
    """One value a line."""
    with entry.open() as file:
        yield from lines_of(file, entry.place, 1, quarantine)


def lines_of(file: IO[bytes], place: str, first: int, quarantine: Quarantine) -> Iterator[Row]:
    """The values of JSON lines; the first of them is line `first` of its file."""
    for number in itertools.count(first):
        line = file.readline(LONGEST)
        if not line:
            return
        if len(line) == LONGEST and not line.endswith(b"\n"):
            quarantine.add(f"{place}:{number}", f"is longer than {LONGEST >> 20} MB, which no row is")
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST)
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            yield f"{place}:{number}", parse(line)
        except (ValueError, RecursionError) as error:
            quarantine.add(f"{place}:{number}", f"is not JSON: {error}")


def parse(line: bytes) -> Any:
    """A value; what only Python's own reader takes (half a surrogate pair, NaN) is no reason to lose it.

    Raises:
        ValueError, RecursionError: when it is not JSON.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(line)
        except UnicodeDecodeError:
            raise error from None


def json_rows(entry: Entry, quarantine: Quarantine) -> Iterator[Row]:
    """The elements of a list; of an object the list that it holds, or its values, or itself."""
    with entry.open() as file:
        content = file.read(_WHOLE + 1)
        if len(content) <= _WHOLE:
            try:
                yield from _inside(parse(content.removeprefix(codecs.BOM_UTF8)), entry.place)
                return
            except (ValueError, RecursionError) as error:
                reason = str(error)
        else:
            reason = f"is one object of more than {_WHOLE >> 20} MB; make it JSON lines, one row a line"
        if content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            yield from _Elements(content, file, entry.place, quarantine)
        elif _is_lines(content):
            yield from lines_of(joined(content, file), entry.place, 1, quarantine)
        else:
            quarantine.add(entry.place, f"is not JSON: {reason}")


def _is_lines(content: bytes) -> bool:
    """Whether it is JSON lines under the name of JSON: its first line is a whole object."""
    first = content.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
    try:
        return isinstance(parse(first), dict)
    except (ValueError, RecursionError):
        return False


class _Elements:
    """The elements of a long or damaged list, one after the other. Behind a damaged one it goes on at the next that
    follows a comma and has the fields of those before it."""

    def __init__(self, begin: bytes, file: IO[bytes], place: str, quarantine: Quarantine) -> None:
        self._file, self._place, self._quarantine = file, place, quarantine
        self._text_of = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._at, self._number = self._text_of.decode(begin).lstrip("\ufeff").lstrip()[1:], 0, 0
        self._is_more = True
        """Whether there may be more than stands in `_text`."""
        self._fields: set[str] = set()
        self._next = _NEXT

    def __iter__(self) -> Iterator[Row]:
        decoder, is_resumed = json.JSONDecoder(), False
        while not self._is_over():
            start = self._at
            try:
                value, self._at = decoder.raw_decode(self._text, start)
            except (ValueError, RecursionError) as error:
                if self._is_more and len(self._text) - start < LONGEST:
                    self._read(max(_CHUNK, len(self._text) - start), start)
                    continue
                if not self._pass_over(None if is_resumed else error):
                    return
                if is_resumed:
                    continue
                is_resumed = True
            else:
                if is_resumed and not self._is_alike(value):  # it stands within the damaged one
                    continue
                is_resumed = False
                self._learn(value)
                if ESCAPED.search(self._text, start, self._at):
                    self._quarantine.add(f"{self._place}[{self._number}]", "holds bytes that are not UTF-8")
                else:
                    yield f"{self._place}[{self._number}]", value
            self._number += 1

    def _read(self, size: int, keep_from: int) -> None:
        block = self._file.read(size)
        self._text = self._text[keep_from:] + self._text_of.decode(block, final=not block)
        self._at, self._is_more = 0, bool(block)

    def _is_over(self) -> bool:
        """Whether the list ends here, before the next element."""
        match = _BETWEEN.match(self._text, self._at)
        assert match is not None  # it may be empty
        self._at = match.end()
        if self._text[self._at : self._at + 1] != "]":
            return False
        while self._is_more and not self._text[self._at + 1 :].strip():
            self._read(_CHUNK, self._at)
        return not self._text[self._at + 1 :].strip()  # behind one within a damaged element the list goes on

    def _pass_over(self, error: Exception | None) -> bool:
        """Whether it goes on behind what stands here, which is set aside unless it belongs to what was."""
        if self._at >= len(self._text):
            self._quarantine.add(self._place, f"the list ends without ] after element {self._number}")
            return False
        found = self._next.search(self._text, self._at)
        while found is None and self._is_more:  # far behind: what is passed over is not kept
            self._read(_CHUNK, max(0, len(self._text) - _OVERLAP))
            found = self._next.search(self._text)
        if error:
            rest = "" if found else "; no element is found behind it"
            self._quarantine.add(f"{self._place}[{self._number}]", f"is not JSON: {error}{rest}")
        self._at = found.end() if found else len(self._text)
        return found is not None

    def _learn(self, value: object) -> None:
        if not self._fields and isinstance(value, dict) and value:
            self._fields = set(value)
            first = json.dumps(next(iter(value)), ensure_ascii=False)
            self._next = re.compile(rf"[}}\]]\s*,\s*(?={{\s*{re.escape(first)}\s*:)")

    def _is_alike(self, value: object) -> bool:
        if not self._fields:
            return True
        return isinstance(value, dict) and 2 * len(self._fields & set(value)) > len(self._fields)


def _inside(value: object, place: str) -> Iterator[Row]:
    """The rows that a file's one value stands for."""
    if isinstance(value, dict):
        held = next((value[name] for name in _INSIDE if isinstance(value.get(name), list)), None)
        if held is not None:
            value = held
        elif len(value) >= _FEW_KEYED and all(isinstance(part, dict) for part in value.values()) and _alike(value):
            yield from ((f"{place}[{key}]", part) for key, part in value.items())
            return
    if isinstance(value, list):
        yield from ((f"{place}[{number}]", part) for number, part in enumerate(value))
    else:
        yield place, value


def _alike(value: dict[str, dict[str, Any]]) -> bool:
    """Whether the values of an object are rows of one table: they share a field's name."""
    parts = itertools.islice(value.values(), 50)
    return bool(set.intersection(*(set(part) for part in parts)))


def yaml_rows(entry: Entry, quarantine: Quarantine) -> Iterator[Row]:
    """As of JSON; several documents of one file are rows."""
    with entry.open() as file:
        text = whole_text(file, entry.place, quarantine, _WHOLE_YAML)
    if text is None:
        return
    values: list[object] = []
    try:
        for value in yaml_values(text):
            values.append(value)
    except NOT_YAML as error:
        quarantine.add(entry.place, f"is not YAML: {' '.join(str(error).split())[:200]}")
    for number, value in enumerate(values):
        yield from _inside(value, entry.place if len(values) == 1 else f"{entry.place} document {number + 1}")


def yaml_values(text: str) -> Iterator[object]:
    """The values of a text's documents; raises one of `NOT_YAML` when it is none."""
    _check_depth(text)
    for value in yaml.load_all(text, _Loader):  # noqa: S506 (a safe loader)
        if _size(value, {}) > len(text) + _MOST_REPEATED:
            raise ValueError("its aliases repeat too much")
        if value is not None:
            yield value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, for which a few lines of merges are no bomb either."""

    def flatten_mapping(self, node: Any) -> None:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and len(value.value) > _MOST_MERGED:
                raise ValueError(f"merges more than {_MOST_MERGED} mappings at once")
        num_own = len(node.value)
        super().flatten_mapping(node)
        if len(node.value) > num_own + _MOST_MERGED**2:
            raise ValueError(f"merges more than {_MOST_MERGED**2:,} fields")


def _check_depth(text: str) -> None:
    """Raises ValueError for YAML so deep that libyaml would exhaust the stack, which ends the process."""
    if text.count("[") + text.count("{") < _DEEPEST and not _MAYBE_DEEP.search(text):
        return
    depth = 0
    try:
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError(f"is nested more than {_DEEPEST} deep")
    except yaml.YAMLError:
        return  # it will be met again


def _size(value: object, known: dict[int, int]) -> int:
    """Fields that a value stands for, what its aliases repeat counted each time."""
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = 1 << 60  # what holds itself has no end
        size = 1
        for part in value.values() if isinstance(value, dict) else value:
            size += _size(part, known)
        known[id(value)] = size
    return known[id(value)]
