"""A user's own text: a file or a folder of .txt, .md, .jsonl and .parquet, read as documents one at a time.

Bytes are split into lines before anything is decoded or parsed, so that one bad byte or line costs that line, never
what follows.
"""

from __future__ import annotations

import codecs
import dataclasses
import importlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import xxhash

from coldframe.corpus.documents import Document, Quarantine, Reader, clean_text
from coldframe.corpus.messages import Message, conversation
from coldframe.errors import DependencyError, SourceError, UsageError

_VERSION = 4
"""Raised when the documents that this file makes change, so that prepared shards are made again."""
ENDINGS = (".txt", ".md", ".jsonl", ".parquet")
WHOLE_FILE = 1 << 24
"""A text file of at most so many bytes is one document; a longer one is cut at empty lines, to keep memory small."""
_BLOCK = 1 << 20


def open_path(path: str, fields: tuple[str, ...]) -> tuple[str, int, Reader, str]:
    """(fingerprint, bytes on disk, reader, what was left alone) of a file or folder.

    Raises SourceError when nothing in it is readable.
    """
    root = Path(path).expanduser()
    files, others = _files(root)
    if any(file.suffix.lower() == ".parquet" for file in files):
        _pyarrow()
    stats = []
    for file in files:
        stat = file.stat()
        stats.append((file.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    known_by = [_VERSION, os.path.realpath(root), list(fields), stats]
    fingerprint = xxhash.xxh3_128_hexdigest(json.dumps(known_by).encode())

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        for file in files:
            place = file.relative_to(root).as_posix() if file != root else root.name
            try:
                yield from _READERS[file.suffix.lower()](file, place, fields, quarantine)
            except UnicodeDecodeError as error:
                quarantine.add(place, error.reason)
            except OSError as error:
                quarantine.add(place, f"cannot be read: {error.strerror or error}")
                quarantine.try_again = True

    return fingerprint, sum(size for _, size, _ in stats), reader, _left_alone(others)


def _left_alone(others: Counter[str]) -> str:
    """How many files of which other kinds a folder holds, for people; nothing when there are none."""
    num_files = others.total()
    if not num_files:
        return ""
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(4))
    more = ", ..." if len(others) > 4 else ""
    return f"{num_files:,} {'file' if num_files == 1 else 'files'} of other kinds left alone ({kinds}{more})"


def _files(root: Path) -> tuple[list[Path], Counter[str]]:
    """The readable kinds of file under `root` in a fixed order, and how many there are with each other ending.

    Hidden ones are left alone and not counted.
    """
    if not root.exists():
        raise SourceError(
            f"there is nothing at {root}", advice="check the path: one in a recipe is taken from the recipe's folder"
        )
    if root.is_file():
        if root.suffix.lower() not in ENDINGS:
            raise SourceError(f"{root} is not of a kind that is read", advice=f"the kinds are {' '.join(ENDINGS)}")
        return [root], Counter()
    found, others = [], Counter[str]()

    def refuse(error: OSError) -> None:
        raise SourceError(
            f"the folder {error.filename} cannot be read: {error.strerror}", advice="give yourself the right to read it"
        ) from error

    seen_folders = set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen_folders:  # a link to a folder above, or a second one to this
            folders.clear()
            continue
        seen_folders.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            if name.startswith(".") or not file.is_file():
                continue
            if file.suffix.lower() in ENDINGS:
                found.append(file)
            else:
                others[file.suffix.lower() or "without an ending"] += 1
    if not found:
        seen = ", ".join(f"{count} {ending}" for ending, count in others.most_common(4)) or "nothing"
        raise SourceError(
            f"{root} holds no text that can be read (it holds {seen})", advice=f"the kinds are {' '.join(ENDINGS)}"
        )
    return sorted(found), others


def _text_file(path: Path, place: str, _: tuple[str, ...], quarantine: Quarantine) -> Iterator[Document]:
    """The whole file as one document, or a very long one in parts; a file that is not UTF-8 is set aside."""
    if _is_empty_utf8(path):
        quarantine.add(place, "is empty")
        return
    with path.open("rb") as file:
        if path.stat().st_size <= WHOLE_FILE:
            text = clean_text(file.read().decode("utf-8"))
            if text.strip():
                yield Document(text=text, place=place)
            else:
                quarantine.add(place, "is empty but for control characters")
            return
        for number, part in enumerate(_parts(file), 1):
            text = clean_text(part.decode("utf-8"))
            if text.strip():
                yield Document(text=text, place=f"{place} part {number}")


def _is_empty_utf8(path: Path) -> bool:
    """Whether the file holds nothing but white space; raises UnicodeDecodeError with the line of the first bad byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    empty, line = True, 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                error.reason = (
                    f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
                )
                raise
            if not block:
                return empty
            line += block.count(b"\n")
            empty = empty and not text.lstrip("\ufeff").strip()


def _parts(file: BinaryIO) -> Iterator[bytes]:
    """The file in parts of at most `WHOLE_FILE` bytes, cut after an empty line, a line, or else a character."""
    rest = b""
    while block := file.read(WHOLE_FILE - len(rest)):
        part = rest + block
        if len(part) < WHOLE_FILE:
            rest = part
            continue
        cut = max(part.rfind(b"\n\n") + 2, part.rfind(b"\r\n\r\n") + 4)
        if cut < WHOLE_FILE // 2:
            cut = part.rfind(b"\n") + 1
        if cut < WHOLE_FILE // 2:
            cut = len(part) - 4
            while part[cut] & 0xC0 == 0x80:  # a byte inside a character
                cut += 1
        yield part[:cut]
        rest = part[cut:]
    if rest:
        yield rest


def _jsonl_file(path: Path, place: str, fields: tuple[str, ...], quarantine: Quarantine) -> Iterator[Document]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                row = _json(line)
            except ValueError as error:
                quarantine.add(f"{place}:{number}", f"is not JSON: {error}")
                continue
            yield from _document(row, f"{place}:{number}", fields, quarantine)


def _json(line: bytes) -> object:
    """A line's value; what only Python's own reader takes (half a surrogate pair, NaN) is no reason to lose the line.

    Raises:
        ValueError: when it is not JSON.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(line)
        except RecursionError:
            raise error from None


def _parquet_file(path: Path, place: str, fields: tuple[str, ...], quarantine: Quarantine) -> Iterator[Document]:
    pyarrow = _pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            held = table.schema_arrow.names
            columns = list(fields) or [name for name in ("text", "messages") if name in held]
            missing = [name for name in columns or ["text"] if name not in held]
            if missing:
                quarantine.add(place, f"has no column {missing[0]!r} (it has {', '.join(held[:8])})")
                return
            number = 0
            for batch in table.iter_batches(batch_size=256, columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield from _document(row, f"{place}:{number}", fields, quarantine)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        quarantine.add(place, f"cannot be read as Parquet: {error}")


def _pyarrow() -> Any:
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DependencyError(
            "reading .parquet needs pyarrow, which is not installed", advice="type: pip install pyarrow"
        ) from error


def _document(row: object, place: str, fields: tuple[str, ...], quarantine: Quarantine) -> Iterator[Document]:
    """The document in one row of a .jsonl or .parquet file, or none when the row is bad."""
    if not isinstance(row, dict):
        quarantine.add(place, f"is {type(row).__name__}, not an object with fields")
        return
    fields = fields or _fields_of(row)
    if fields == ("messages",):
        try:
            messages = conversation(row.get("messages"))
        except UsageError as error:
            quarantine.add(place, error.message)
            return
        messages = tuple(map(_clean, messages))
        text = "\n\n".join(message.content for message in messages)
    else:
        bad = [name for name in fields if not isinstance(row.get(name), str)]
        if bad:
            held = ", ".join(list(row)[:8]) or "nothing"
            quarantine.add(place, f"has no text in the field {bad[0]!r} (it has {held})")
            return
        messages = ()
        text = clean_text("\n\n".join(row[name] for name in fields))
    if not text.strip():
        quarantine.add(place, "is empty")
        return
    yield Document(text=text, place=place, messages=messages)


def _fields_of(row: dict[str, Any]) -> tuple[str, ...]:
    """What to read of a row where the source names no fields: its text, or messages where that is missing or empty."""
    text, messages = row.get("text"), row.get("messages")
    has_text = isinstance(text, str) and (not messages or bool(clean_text(text).strip()))
    return ("text",) if has_text or "messages" not in row else ("messages",)


def _clean(message: Message) -> Message:
    call = None if message.call is None else clean_text(message.call)
    return dataclasses.replace(message, content=clean_text(message.content), call=call)


_READERS = {".txt": _text_file, ".md": _text_file, ".jsonl": _jsonl_file, ".parquet": _parquet_file}
