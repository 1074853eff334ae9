"""Reference pages made of the docstrings in Python files, read as text with `ast` and never imported."""

from __future__ import annotations

import ast
import inspect
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from coldframe.corpus.documents import Document, Quarantine, clean_text

STANDS_ALONE = 1500
"""A docstring of at least this many characters is a document of its own; the shorter ones of a module form its page."""
_LONGEST_FILE = 1 << 23
_SHORTEST_PAGE = 200
_SHORTEST_ENTRY = 24
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_files(root: Path, skip: frozenset[str]) -> list[Path]:
    """Every `.py` file under `root`, in a fixed order, without the folders and files named in `skip`."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in skip and name != "__pycache__")
        found += [Path(folder, name) for name in files if name.endswith(".py") and name not in skip]
    return sorted(found)


def docstring_pages(root: Path, package: str, files: list[Path], quarantine: Quarantine) -> Iterator[Document]:
    """A page a module, and one for each long docstring, titled with the name and signature a reader would look up.

    `package` is the dotted name of `root`, empty for the standard library. A docstring that repeats an earlier one is
    left out.
    """
    seen: set[str] = set()
    for path in files:
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join((package, *parts) if package else parts).removesuffix(".__init__")
        try:
            if path.stat().st_size > _LONGEST_FILE:
                raise ValueError(f"it is larger than {_LONGEST_FILE >> 20} MB, which holds data rather than text")
            source = path.read_bytes()
            if b'"""' not in source and b"'''" not in source:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's invalid escapes
                tree = ast.parse(source)
            pages = list(_pages_of_module(module, tree, seen))
        except (
            OSError,
            SyntaxError,
            ValueError,
            RecursionError,
            MemoryError,
        ) as error:  # the last two: nested too deep
            quarantine.add(module, f"cannot be parsed: {str(error) or type(error).__name__}")
            continue
        yield from pages


def _pages_of_module(module: str, tree: ast.Module, seen: set[str]) -> Iterator[Document]:
    page = []
    for title, text in _entries(module, tree):
        if len(text) < _SHORTEST_ENTRY or text in seen:
            continue
        seen.add(text)
        if len(text) >= STANDS_ALONE:
            yield Document(text=f"{title}\n\n{text}\n", place=title.partition("(")[0])
        else:
            page.append(f"{title}\n\n{text}\n")
    text = "\n\n".join(page)
    if len(text) >= _SHORTEST_PAGE:
        yield Document(text=text, place=module)


def _entries(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(title, docstring) of the module, its classes and functions, in the order of the file."""
    yield module, _docstring(tree)
    yield from _entries_in(module, tree.body)


def _entries_in(owner: str, body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, _Definition):
            name = f"{owner}.{node.name}"
            yield name + _signature(node), _docstring(node)
            if isinstance(node, ast.ClassDef):
                yield from _entries_in(name, node.body)
        elif isinstance(node, ast.If | ast.Try):
            yield from _entries_in(owner, node.body)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _added_docs(node.value)


def _docstring(node: ast.Module | _Definition) -> str:
    return clean_text(ast.get_docstring(node, clean=True) or "").strip()


def _signature(node: _Definition) -> str:
    """The arguments as a call shows them: without annotations, `self` and what a reader would skip over."""
    if isinstance(node, ast.ClassDef):
        return ""
    arguments = node.args
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
        argument.annotation = None
    for starred in (arguments.vararg, arguments.kwarg):
        if starred:
            starred.annotation = None
    text = ast.unparse(arguments)
    for first in ("self", "cls"):
        text = "" if text == first else text.removeprefix(f"{first}, ")
    return f"({text})"


def _added_docs(call: ast.Call) -> Iterator[tuple[str, str]]:
    """The docs that numpy gives its compiled objects: add_newdoc(module, name, doc or attributes with their docs)."""
    if not isinstance(call.func, ast.Name) or call.func.id != "add_newdoc" or len(call.args) < 3:
        return
    try:
        owner, name, docs = (ast.literal_eval(argument) for argument in call.args[:3])
    except ValueError:
        return  # a doc that is computed when numpy starts
    name = f"{str(owner).replace('._core', '').removesuffix('.multiarray')}.{name}"
    for entry in docs if isinstance(docs, list) else [docs]:
        attribute, text = entry if isinstance(entry, tuple) else ("", entry)
        yield f"{name}.{attribute}".rstrip("."), clean_text(inspect.cleandoc(text)).strip()
