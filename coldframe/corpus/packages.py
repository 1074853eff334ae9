"""Any installed package, found by its name and read as files: nothing of it is imported or run."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from coldframe.corpus.docstrings import docstring_pages, python_files
from coldframe.corpus.documents import Document, Quarantine
from coldframe.errors import SourceError, did_you_mean

MODULE_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_SKIP = frozenset(["test", "tests", "conftest.py", "_vendor", "_vendored", "vendor", "site-packages", "dist-packages"])
"""Folders and files of a package that hold tests, or other people's packages."""


def installed_package(name: str) -> tuple[list[Path], list[Path]]:
    """(where its parts begin, its Python files) of a package or module of this dotted name.

    Raises:
        SourceError: when it is not installed, or there is no Python to read.
    """
    spec = _spec(name)
    if spec is None:
        raise SourceError(f"the package {name} is not installed", advice=_instead(name))
    if spec.submodule_search_locations is None:
        path = Path(spec.origin or "")
        roots = [path.parent]
        files = [path] if path.suffix == ".py" and path.is_file() else []
    else:
        roots = [Path(place) for place in spec.submodule_search_locations]
        files = [file for root in roots for file in python_files(root, _SKIP)]
    if not files:
        raise SourceError(
            f"the package {name} keeps no Python files on the disk ({spec.origin or roots[0]})",
            advice="name a package that is written in Python; what is compiled or packed has no text to read",
        )
    return roots, files


def package_pages(name: str, roots: Sequence[Path], files: Sequence[Path], bad: Quarantine) -> Iterator[Document]:
    """The reference pages of a package's files."""
    for root in roots:
        within = [file for file in files if file.is_relative_to(root)]
        single = len(within) == 1 and within[0].name != "__init__.py" and within[0].stem == name.rpartition(".")[2]
        yield from docstring_pages(root, name.rpartition(".")[0] if single else name, within, bad)


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module is, its parents searched for but never imported, as `find_spec` alone would."""
    first, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
        if spec is not None and spec.origin == "frozen":  # a part of the standard library that Python carries within
            spec = importlib.machinery.PathFinder.find_spec(first)
        known_as = first
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            known_as = f"{known_as}.{part}"
            spec = importlib.machinery.PathFinder.find_spec(known_as, list(spec.submodule_search_locations))
    except (ImportError, ValueError, AttributeError):
        return None
    return spec


def _instead(name: str) -> str:
    """What to say of a name that is no module: perhaps a distribution's, whose modules have others."""
    first = name.partition(".")[0]
    if first != name and _spec(first) is not None:
        return f"{first} is installed, and has no such module"
    modules = importlib.metadata.packages_distributions()
    of = sorted(module for module, names in modules.items() if _plain(name) in map(_plain, names) and module[0] != "_")
    if of:
        return f"{name} is installed as {' and '.join(of[:3])}: say that"
    near = did_you_mean(first, [module for module in modules if module[0] != "_"])
    return near if near.startswith("did") else f"type: pip install {first}"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
