"""Bytes become text line by line, so that a bad byte costs its line and never what follows."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import IO

from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from coldframe.corpus.documents import Quarantine, clean_text

WHOLE = 1 << 22
"""A text of at most so many bytes is one document; a longer one is cut at empty lines, to keep memory small."""
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_GOOD_A_BAD = 10
"""Letters beyond ASCII for each bad byte, from which on a page is taken for one in UTF-8."""
_BAD_SHARE = 0.02
"""Lines that are not UTF-8, from which share on the file is taken for one in another encoding."""


def whole_text(file: IO[bytes], place: str, quarantine: Quarantine, limit: int) -> str | None:
    """A file's text, its bad lines set aside one by one; None when it is longer than `limit` bytes, or is no text."""
    content = file.read(limit + 1)
    if len(content) > limit:
        quarantine.add(place, f"is larger than {limit >> 20} MB, which files of this kind are read up to")
        return None
    return decoded(content, place, 1, quarantine)


def decoded(content: bytes, place: str, line: int, quarantine: Quarantine) -> str | None:
    """Bytes as clean text; `line` is the number of their first. Lines that are not UTF-8 are set aside, each with its
    number; when many are, the whole is, with the encoding that it seems to have."""
    try:
        text = clean_text(content.replace(b"\0", b"").removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError:
        return _mended(content, place, line, quarantine)
    if b"\0" in content and text.strip():  # where a disk or a copy failed, zeros stand
        at = line + content.count(b"\n", 0, content.index(b"\0"))
        quarantine.add(f"{place}:{at}", f"{content.count(bytes(1)):,} zero bytes, from here on, are left out")
    return text


def page_source(content: bytes, place: str, quarantine: Quarantine) -> str | None:
    """A page of HTML as text, in the encoding that it names or seems to have. One in UTF-8 with a few bad bytes is one
    in UTF-8: they cost their lines, and do not turn each é of it into something else."""
    text = content.decode("utf-8", "replace")
    num_bad = text.count("\ufffd")
    if num_bad and num_bad * _GOOD_A_BAD > sum(map(str.isalpha, _NOT_ASCII.findall(text))):
        named = detect_encoding(content, from_html_meta=True) or "utf-8"
        if named != "utf-8":
            return clean_text(bytes_to_str(content, named, errors="replace", fallback_encodings=[]))
    return decoded(content, place, 1, quarantine)


def _mended(content: bytes, place: str, first: int, quarantine: Quarantine) -> str | None:
    lines = content.split(b"\n")
    wrong = {number: byte for number, line in enumerate(lines) if (byte := _wrong_byte(line)) is not None}
    bad = list(wrong)
    if b"\0" in content[:4096] and len(bad) > 1:
        quarantine.add(place, "is not text: it holds zero bytes")
        return None
    if len(bad) > max(1, _BAD_SHARE * len(lines)):
        quarantine.add(
            place, f"is not UTF-8 in {len(bad):,} of {len(lines):,} lines, the first {first + bad[0]}; "
            f"save it as UTF-8{_seems(content)}",
        )  # fmt: skip
        return None
    for number, byte in wrong.items():
        quarantine.add(f"{place}:{first + number}", f"byte 0x{byte:02x} is not UTF-8: the line is left out")
    kept = b"\n".join(line for number, line in enumerate(lines) if number not in wrong)
    return clean_text(kept.removeprefix(codecs.BOM_UTF8).decode("utf-8"))


def _wrong_byte(line: bytes) -> int | None:
    """The first byte of a line that is not UTF-8."""
    try:
        line.decode("utf-8")
        return None
    except UnicodeDecodeError as error:
        return line[error.start]


def _seems(content: bytes) -> str:
    """The encoding that bytes seem to have, for advice: Windows-1252 where its letters stand within words."""
    try:
        text = content[:1_000_000].decode("cp1252")
    except UnicodeDecodeError:
        return ""
    letters = re.findall(r"[A-Za-z][\u00c0-\u00ff\u2019]", text)
    return " (it seems to be Windows-1252 or Latin-1)" if letters else ""


def parts(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """A file in parts of at most `WHOLE` bytes, each with the number of its first line; cut after an empty line, any
    line, or else a character."""
    rest, line = b"", 1
    while block := file.read(WHOLE - len(rest)):
        part = rest + block
        if len(part) < WHOLE:
            rest = part
            continue
        cut = max(part.rfind(b"\n\n") + 2, part.rfind(b"\r\n\r\n") + 4)
        if cut < WHOLE // 2:
            cut = part.rfind(b"\n") + 1
        if cut < WHOLE // 2:
            cut = len(part) - 4
            while cut < len(part) and part[cut] & 0xC0 == 0x80:  # a byte inside a character
                cut += 1
        yield line, part[:cut]
        line += part.count(b"\n", 0, cut)
        rest = part[cut:]
    if rest:
        yield line, rest
