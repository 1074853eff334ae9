"""Small real files of every format, and what is read of one."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import zstandard

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.reading.paths import open_path, read_file

PACK = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstandard.compress}
_CONTAINER = '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>'


def read(path: Path) -> tuple[list[Document], dict[str, str]]:
    """(documents, place -> reason of what was set aside) of a file or folder."""
    quarantine = Quarantine(keep=1000)
    documents = list(open_path(str(path), None)[2](quarantine))
    return documents, dict(quarantine.examples)


def read_bytes(folder: Path, name: str, content: bytes | str) -> tuple[list[Document], dict[str, str]]:
    """The same of a file with this content; what was set aside is all there is."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    quarantine = Quarantine(keep=100_000)
    documents = list(read_file(path, name, None, quarantine))
    assert len(quarantine.examples) == quarantine.count
    for document in documents:
        assert document.text.strip() or document.messages
        json.dumps([document.text, document.place, [message.content for message in document.messages]],
                   ensure_ascii=False).encode()  # fmt: skip
    return documents, dict(quarantine.examples)


def texts(folder: Path, name: str, content: bytes | str) -> list[str]:
    """The texts of a file in which nothing is wrong."""
    documents, bad = read_bytes(folder, name, content)
    assert not bad
    return [document.text for document in documents]


def json_lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def zipped(files: dict[str, bytes | str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def tarred(files: dict[str, bytes | str], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode, format=form) as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def epub(pages: dict[str, bytes | str], package: str = "", spine: tuple[str, ...] = ()) -> bytes:
    """A book of these pages, whose spine names all of them or those in `spine`."""
    names = spine or tuple(pages)
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in names)
    order = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = package or (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{order}</spine></package>'
    )
    files: dict[str, bytes | str] = {"META-INF/container.xml": _CONTAINER, "in/book.opf": package}
    return zipped(files | {f"in/{name}.xhtml": page for name, page in pages.items()})
