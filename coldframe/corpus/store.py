"""A corpus on disk, as one verb leaves it for the next: documents, and attributes beside them.

    <folder>/documents.jsonl.zst        a line a document: {id, text or messages, source, place}
    <folder>/attributes/NAME.jsonl      a line for each of those, in the same order: {id, keep, reason, features}
    <folder>/manifest.json              what it is, and where each part begins; written last

Both are ordinary JSON lines; the documents are compressed in parts that can be read alone (Zstandard frames; `zstdcat`
reads the whole). Nothing here is ever changed in place: a verdict is an attribute, and dropping a document is reading
the two together.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash
import zstandard

from coldframe.corpus.documents import Document
from coldframe.corpus.messages import conversation
from coldframe.errors import CorpusError

DOCUMENTS = "documents.jsonl.zst"
TEACHER, FILTER, DEDUP, CONTAMINATION = (
    f"attributes/{name}.jsonl" for name in ("teacher", "filter", "dedup", "contamination")
)
IMPROVED, QUALITY = "improved.jsonl.zst", "quality.json"
_LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A document with what it is known by."""

    id: str
    """Of its source, place and text: the same however often it is read, and wherever."""
    source: str
    document: Document


def stored(source: str, document: Document) -> Stored:
    """A document of a source, with its id."""
    messages = [dataclasses.astuple(message) for message in document.messages]
    content = json.dumps(messages) if messages else document.text
    return Stored(
        id=xxhash.xxh3_128_hexdigest("\0".join((source, document.place, content)).encode())[:20],
        source=source,
        document=document,
    )


def pack_documents(documents: Iterable[Stored]) -> bytes:
    """A part of a documents file."""
    return pack(
        {
            "id": one.id,
            **(
                {"messages": [_message(message) for message in one.document.messages]}
                if one.document.messages
                else {"text": one.document.text}
            ),
            "source": one.source,
            "place": one.document.place,
        }
        for one in documents
    )


def pack(lines: Iterable[Any]) -> bytes:
    """A part of a file of JSON lines; empty for none."""
    text = as_lines(lines)
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(text) if text else b""


def as_lines(lines: Iterable[Any]) -> bytes:
    """JSON lines."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def unpack(part: bytes) -> Iterator[Any]:
    """The lines of a part, or of several one after the other."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(part), read_across_frames=True) as file:
        for line in io.TextIOWrapper(file, encoding="utf-8", newline="\n"):
            yield orjson.loads(line)


def unpack_file(path: Path) -> Iterator[Any]:
    """The lines of a whole file of such parts."""
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as file:
        for line in io.TextIOWrapper(file, encoding="utf-8", newline="\n"):
            yield orjson.loads(line)


def unpack_documents(part: bytes) -> Iterator[Stored]:
    """The documents of a part."""
    for line in unpack(part):
        messages = conversation(line["messages"]) if "messages" in line else ()
        text = line["text"] if not messages else "\n\n".join(message.content for message in messages)
        yield Stored(
            id=line["id"], source=line["source"], document=Document(text=text, place=line["place"], messages=messages)
        )


def _message(message: Any) -> dict[str, str]:
    return {name: value for name, value in dataclasses.asdict(message).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder of documents is."""

    source: dict[str, Any]
    """The record of the source."""
    parts: tuple[tuple[int, str], ...]
    """Bytes and hash of each part of the documents file."""
    sizes: tuple[int, ...]
    """Documents in each part."""
    counts: dict[str, int]
    """Documents, bytes of text, pieces set aside."""
    quarantined: tuple[tuple[str, str], ...] = ()
    """(place, reason) of everything that could not be read."""
    layouts: dict[str, int] = dataclasses.field(default_factory=dict)
    """How the fields of rows were understood -> in how many files."""

    def as_json(self) -> bytes:
        """The file's bytes."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False).encode()


def is_corpus(folder: Path) -> bool:
    """Whether a folder is one of documents, as `ingest` makes them."""
    return (folder / "manifest.json").is_file() and (folder / DOCUMENTS).is_file()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of documents.

    Raises:
        CorpusError: when there is none, or it is not one.
    """
    try:
        found = json.loads((folder / "manifest.json").read_bytes())
        return Manifest(
            source=found["source"], counts=found["counts"],
            sizes=tuple(found["sizes"]), parts=tuple((int(size), str(known_as)) for size, known_as in found["parts"]),
            quarantined=tuple((place, reason) for place, reason in found["quarantined"]), layouts=found["layouts"],
        )  # fmt: skip
    except FileNotFoundError:
        raise CorpusError(
            f"{folder} holds no corpus", advice="coldframe corpus ingest makes one of files and folders"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{folder / 'manifest.json'} is damaged: {error}", advice="ingest the text again") from error


def packed_bytes(folder: Path) -> int:
    """Bytes of a folder's documents as they lie there: what work on them counts."""
    return sum(size for size, _ in read_manifest(folder).parts)


def read_part(path: Path, parts: Sequence[tuple[int, str]], number: int) -> bytes:
    """Part `number` of a file of such parts.

    Raises:
        CorpusError: when it is not what was written.
    """
    size, known_as = parts[number]
    with path.open("rb") as file:
        file.seek(sum(before for before, _ in parts[:number]))
        part = file.read(size)
    if xxhash.xxh3_64_hexdigest(part) != known_as:
        raise CorpusError(
            f"part {number} of {path} is not what was written there",
            advice="run the verb that made it again; where that does not help, the disk or somebody changed it",
        )
    return part
