"""Files to be read: of a folder, out of archives, uncompressed; each with a place that a person can find again."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tarfile import EOFHeaderError, InvalidHeaderError, ReadError  # type: ignore[attr-defined]
from typing import IO, Any, Self, cast

import zstandard

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading.streams import Unending, unpacked, utf8
from coldframe.errors import SourceError

#: What reading a damaged or truncated compressed file may raise.
DAMAGE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, tarfile.TarError, zipfile.BadZipFile, EOFError, OSError,
          NotImplementedError, UnicodeError, struct.error)  # fmt: skip
_PACKED: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb")),
    ".xz": lambda file: unpacked(file, lzma.LZMADecompressor),
    ".bz2": lambda file: unpacked(file, bz2.BZ2Decompressor),
    ".zst": lambda file: unpacked(file, None),
}
_SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tzst": ".tar.zst", ".tbz2": ".tar.bz2"}
_MARKED = (".rst", ".md", ".html")
"""Endings that say more than the `.txt` behind them."""
ARCHIVES = (".tar", ".zip")
_END = struct.Struct("<4s4H2LH")
_MANY = 0xFFFF
_STRANGE_BLOCKS = 1000
"""Blocks of a tar that begin no file, after which it is none when there was no file before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be read, wherever it lies."""

    path: Path
    """The file on disk: itself, or what it is packed in."""
    place: str
    """For people: `folder/file.txt`, `books.zip: part/one.txt`."""
    ending: str
    """`.txt`, `.jsonl`...: what it is once unpacked."""
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    """Its bytes, uncompressed; of text in UTF-16 as UTF-8."""
    on_disk: bool = False
    """Whether its bytes stand on the disk as they are."""


def kind_of(name: str) -> tuple[str, str]:
    """(ending, packing) of a file's name: `a.jsonl.gz` is (`.jsonl`, `.gz`), `a.txt` is (`.txt`, ``)."""
    lowered = name.lower()
    for short, long in _SHORT.items():
        if lowered.endswith(short):
            lowered = lowered.removesuffix(short) + long
    stem, packing = os.path.splitext(lowered)
    if packing not in _PACKED:
        stem, packing = lowered, ""
    name, ending = os.path.splitext(stem)
    marked = os.path.splitext(name)[1] if ending == ".txt" else ""
    return marked if marked in _MARKED else ending, packing


def walk(root: Path, known: Callable[[str], bool]) -> tuple[list[Path], Counter[str]]:
    """The files under `root` whose ending is known (once unpacked) or that are archives, in a fixed order, and how many
    there are with each other ending. Hidden ones are left alone and not counted; a folder is entered once, however many
    links lead to it.

    Raises:
        SourceError: when there is nothing, or a folder cannot be read.
    """
    if not root.exists():
        raise SourceError(
            f"there is nothing at {root}", advice="check the path: one in a recipe is taken from the recipe's folder"
        )
    if root.is_file():
        return ([root], Counter()) if _is_read(root.name, known) else ([], Counter([root.suffix.lower()]))

    def refuse(error: OSError) -> None:
        raise SourceError(
            f"the folder {error.filename} cannot be read: {error.strerror}", advice="give yourself the right to read it"
        ) from error

    found, others, entered = [], Counter[str](), set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if name.startswith(".") or not file.is_file():
                continue
            if _is_read(name, known):
                found.append(file)
            else:
                others[file.suffix.lower() or "without an ending"] += 1
    return sorted(found), others


def _is_read(name: str, known: Callable[[str], bool]) -> bool:
    ending, _ = kind_of(name)
    return ending in ARCHIVES or known(ending)


def entries(path: Path, place: str, known: Callable[[str], bool], quarantine: Quarantine) -> Iterator[Entry]:
    """What a file on disk holds: itself, or the known files of an archive, in their order there.

    An entry has to be read before the next is asked for. What is damaged is set aside from there on.
    """
    ending, packing = kind_of(path.name)
    if ending not in ARCHIVES:
        yield Entry(path, place, ending, partial(opened, lambda: path.open("rb"), packing), on_disk=not packing)
        return
    others: Counter[str] = Counter()
    num_before, is_empty = quarantine.count, True
    try:
        if ending == ".zip":
            members = _zipped(path, packing, place, known, others, quarantine)
        else:
            members = _tarred(path, packing, place, known, others, quarantine)
        for entry in members:
            is_empty = False
            yield entry
    except DAMAGE as error:
        quarantine.add(place, f"the archive is damaged from here on: {str(error) or type(error).__name__}")
    if others:
        kinds = ", ".join(f"{count:,} {name}" for name, count in others.most_common(4))
        files = "1 file within is" if others.total() == 1 else f"{others.total():,} files within are"
        quarantine.add(place, f"{files} of other kinds or packed once more ({kinds})")
    elif is_empty and quarantine.count == num_before:
        quarantine.add(place, "is empty")


@contextmanager
def opened(open_file: Callable[[], IO[bytes]], packing: str) -> Iterator[IO[bytes]]:
    """A file's bytes, uncompressed; of text in UTF-16 as UTF-8."""
    with closing(open_file()) as file:  # what unpacks it would leave it open
        yield utf8(_PACKED[packing](file) if packing else file)


def _zipped(
    path: Path, packing: str, place: str, known: Callable[[str], bool], others: Counter[str], quarantine: Quarantine
) -> Iterator[Entry]:
    if packing:
        quarantine.add(place, f"is a zip packed once more: unpack the {packing}")
        return
    with zipfile.ZipFile(path) as archive:
        claimed, found = _num_claimed(path), len(archive.infolist())
        if claimed not in (found, _MANY):
            quarantine.add(place, f"says that it holds {claimed:,} files and names {found:,}")
        for member in archive.infolist():
            if member.filename.endswith("/") or _is_hidden(member.filename):
                continue
            ending, inner = kind_of(member.filename)
            if not known(ending):
                others[os.path.splitext(member.filename)[1].lower() or "without an ending"] += 1
            elif member.flag_bits & 1:
                quarantine.add(f"{place}: {member.filename}", "is encrypted")
            else:
                open_member = partial(opened, partial(archive.open, member), inner)
                yield Entry(path, f"{place}: {member.filename}", ending, open_member)


def _num_claimed(path: Path) -> int:
    """How many files a zip says that it holds, at its end (APPNOTE.TXT 4.3.16); `_MANY` when it does not."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - _END.size))
        content = file.read()
    at = content.rfind(b"PK\5\6")
    return int(_END.unpack_from(content, at)[4]) if 0 <= at <= len(content) - _END.size else _MANY


class _Tar(tarfile.TarFile):
    """A tar that knows what it passed over: with `ignore_zeros` what is damaged does not end it."""

    num_strange = 0
    """Blocks where a file should begin, and none does."""
    is_ended = False


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except InvalidHeaderError as error:
            tarfile.num_strange += 1
            if tarfile.num_strange > _STRANGE_BLOCKS and not tarfile.members:
                raise ReadError("is not a tar") from error
            raise
        except EOFHeaderError:
            tarfile.is_ended = True
            raise


def _tarred(
    path: Path, packing: str, place: str, known: Callable[[str], bool], others: Counter[str], quarantine: Quarantine
) -> Iterator[Entry]:
    with (
        opened(lambda: path.open("rb"), packing) as file,
        _Tar.open(fileobj=cast(Any, Unending(file)), mode="r|", ignore_zeros=True, tarinfo=_Header) as archive,
    ):
        for member in archive:
            if not member.isfile() or _is_hidden(member.name):
                continue
            ending, inner = kind_of(member.name)
            content = archive.extractfile(member) if known(ending) else None
            if content is None:
                others[os.path.splitext(member.name)[1].lower() or "without an ending"] += 1
                continue
            open_member = partial(opened, partial(_taken, content), inner)
            yield Entry(path, f"{place}: {shown(member.name)}", ending, open_member)
        if archive.num_strange:
            quarantine.add(place, f"{archive.num_strange:,} blocks are damaged: what began there is lost")
        elif not archive.is_ended:
            quarantine.add(place, "lacks its end: it seems to be cut off")


def _taken(file: IO[bytes]) -> IO[bytes]:
    """What is open already, in place of opening it."""
    return file


def shown(name: str) -> str:
    """A file's name that can be written down: one in another encoding than UTF-8 holds what has no form in it."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
