"""Bytes on their way in: unpacked stream by stream, UTF-16 turned into UTF-8, and never without an end."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import IO, Any, cast

import zstandard

_BLOCK = 1 << 11
"""Packed bytes that are unpacked at once; few, since zstandard knows no limit for what comes out of them."""
_BUFFER = 1 << 17
_READS_BEHIND_THE_END = 8


def unpacked(file: IO[bytes], new: Callable[[], Any] | None) -> IO[bytes]:
    """What a compressed file holds; `new` makes a decompressor as of `lzma` and `bz2`, without it it is zstandard's."""
    return cast(IO[bytes], io.BufferedReader(_Unpacked(file, new or _Zstandard), _BUFFER))


def utf8(file: IO[bytes]) -> IO[bytes]:
    """A file as it is, or one that begins as UTF-16 in UTF-8."""
    begin = cast(Any, file).peek(2)[:2]
    if begin not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return file
    return cast(IO[bytes], io.BufferedReader(_Recoded(file), _BUFFER))


def joined(begin: bytes, file: IO[bytes]) -> IO[bytes]:
    """A file with what was read of it already."""
    return cast(IO[bytes], io.BufferedReader(_Joined(begin, file), _BUFFER))


class _Zstandard:
    """A decompressor with the ways of those of `lzma` and `bz2`."""

    needs_input = True

    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, _limit: int) -> bytes:
        return self._stream.decompress(data)


class _Raw(io.RawIOBase):
    """Bytes that are made as they are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            made = self._make(len(buffer))
            if made is None:
                return 0
            self._ready = memoryview(made)
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()

    def _make(self, limit: int) -> bytes | None:
        raise NotImplementedError


class _Unpacked(_Raw):
    """Compressed streams one behind the other. One that is cut off, or what is none behind one, is damage, which the
    readers of `lzma`, `bz2` and `zstandard` take for the end."""

    def __init__(self, file: IO[bytes], new: Callable[[], Any]) -> None:
        super().__init__(file)
        self._new = new
        self._stream: Any = None
        self._left = b""

    def _make(self, limit: int) -> bytes | None:
        if self._stream is None:
            data, self._left = self._left or self._file.read(_BLOCK), b""
            if not data:
                return None
            data = data.lstrip(b"\0")  # streams may be padded
            if not data:
                return b""
            self._stream = self._new()
        else:
            data = self._file.read(_BLOCK) if self._stream.needs_input else b""
            if not data and self._stream.needs_input:
                raise EOFError("the file is cut off")
        made: bytes = self._stream.decompress(data, limit)
        if self._stream.eof:
            self._left, self._stream = self._stream.unused_data, None
        return made


class _Joined(_Raw):
    def __init__(self, begin: bytes, file: IO[bytes]) -> None:
        super().__init__(file)
        self._ready = memoryview(begin)

    def _make(self, limit: int) -> bytes | None:
        return self._file.read(_BUFFER) or None


class _Recoded(_Raw):
    """UTF-16 as UTF-8; what is half a letter there is a byte that is not UTF-8 here, so that its line alone is lost."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")

    def _make(self, limit: int) -> bytes | None:
        block = self._file.read(1 << 16)
        if block:
            return self._decoder.decode(block).encode("utf-8", "surrogatepass")
        cut, _ = self._decoder.getstate()
        self._decoder.reset()
        return b"\xff" if cut else None


class Unending:
    """A file whose end is damage to whoever reads on and on behind it: a header within a tar may claim exabytes,
    through which `tarfile` would go block by block."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._num_behind = 0

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            EOFError: when there were none several times.
        """
        block = self._file.read(size)
        self._num_behind = 0 if block else self._num_behind + 1
        if self._num_behind > _READS_BEHIND_THE_END:
            raise EOFError("something within is longer than the whole")
        return block
