"""The house rules that a machine can check: import order, sizes, docstrings, names, style and types.

Every rule is read off the tree as it stands: a new folder or file is under the rules from its first day.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

import coldframe

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "coldframe"
STATIC = PACKAGE / "explore" / "static"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80
MAX_SCRIPT_LINES = 300
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "core", "lib", "tools"}

# Typed so strictly that mypy --strict has nothing to say. Extend the list as parts settle; nothing is taken off it.
STRICT = ("errors.py", "settings.py", "hardware.py", "execution.py", "plan.py", "run", "corpus", "mixture")

# What the plan rests on: arithmetic that must stay free of everything that learns, reads or writes.
ARITHMETIC = {
    "coldframe.execution": {"errors", "settings", "hardware", "model.sizes", "model.memory"},
    "coldframe.plan": {"errors", "settings", "hardware", "execution", "model.sizes", "model.memory"},
    "coldframe.model.sizes": {"errors"},
    "coldframe.model.memory": {"errors", "model.sizes"},
}

# In a script: text that becomes elements or code. In any page file: another machine as a place to load from.
UNSAFE = re.compile(r"\.(?:innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function\(")
LOADING = re.compile(r"""(?:(?:src|href)=|import\s*\(?|from\s*|fetch\(|url\()\s*["'`]?(?:https?:)?//""")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def python_files(*folders: str) -> list[Path]:
    """All Python files of these folders of the project, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    """A file's name as it is shown: from the project's root."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file, inner ones too."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


LIBRARY = python_files("coldframe")
EVERYTHING = [*LIBRARY, *python_files("tests", "benchmarks"), ROOT / "hatch_build.py"]
SCRIPTS = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.relative_to(STATIC).parts)


def test_import_order() -> None:
    """No file imports against the order in which data passes through the folders (pyproject.toml, `importlinter`)."""
    done = run("-c", "import sys; from importlinter.cli import lint_imports_command; "
               "sys.exit(lint_imports_command(['--no-cache'], standalone_mode=False))")
    assert done.returncode == 0, done.stdout + done.stderr


def test_plan_rests_on_arithmetic_only() -> None:
    """The plan, and the two files of the model that it may read, import nothing beyond what is listed here."""
    graph = grimp.build_graph("coldframe", cache_dir=None)
    for module, allowed in ARITHMETIC.items():
        imported = {name.removeprefix("coldframe.") for name in graph.find_modules_directly_imported_by(module)}
        assert imported <= allowed, f"{module} imports {sorted(imported - allowed)}"


def test_every_folder_is_a_package() -> None:
    """A folder without `__init__.py` would escape the check of the import order."""
    folders = {path.parent for path in LIBRARY}
    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_no_drawers() -> None:
    """Files and folders are named by what they hold, never by `utils` and its kin."""
    found = [named(path) for path in EVERYTHING if DRAWERS & set(path.relative_to(ROOT).with_suffix("").parts)]
    assert found == []


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_file_fits(path: Path) -> None:
    """A file says at its top what it is and stays within 500 lines, a function within 80."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{named(path)} has {lines} lines; split it by stage"
    assert ast.get_docstring(parsed(path)), f"{named(path)} begins without a docstring"
    for function in functions(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{named(path)}: {function.name} has {length} lines"


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_library_is_documented(path: Path) -> None:
    """Every public class and function has a docstring."""
    missing = [name for name, node in public(parsed(path)) if not ast.get_docstring(node)]
    assert missing == [], f"{named(path)}: no docstring on {missing}"


def public(node: Documented, prefix: str = "") -> Iterator[tuple[str, Documented]]:
    """A module's or class's public classes and functions, and their own; `__init__` and its kin need no docstring."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | Function) and not child.name.startswith("_"):
            if not is_declaration(child):
                yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


def is_declaration(node: ast.ClassDef | Function) -> bool:
    """Whether a name is only declared (a protocol's member, an overload) or said once more (a property's setter)."""
    empty = len(node.body) == 1 and ast.unparse(node.body[0]) == "..."
    return empty or any(isinstance(by, ast.Attribute) and by.attr == "setter" for by in node.decorator_list)


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_library_is_quiet_and_explicit(path: Path) -> None:
    """Only cli.py prints, and a public function names every argument that it takes."""
    calls = {ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}
    if path != PACKAGE / "cli.py":
        assert "print" not in calls, f"{named(path)} prints; the library logs"
    taking = [function.name for function in functions(path) if function.args.kwarg and function.name[0] != "_"]
    assert taking == [], f"{named(path)}: {taking} take any keyword; name what is taken"


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_script_fits(path: Path) -> None:
    """A page's script stays within 300 lines and inserts text only as text."""
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_SCRIPT_LINES
    unsafe = UNSAFE.findall(source)
    assert unsafe == [], f"{named(path)} makes elements or code out of text"


def test_pages_load_nothing_from_elsewhere() -> None:
    """No page, script or style sheet names another machine as a place to load from."""
    files = [path for suffix in ("*.html", "*.js", "*.css") for path in STATIC.rglob(suffix)]
    assert [named(path) for path in files if LOADING.search(path.read_text(encoding="utf-8"))] == []


def test_version_stands_once() -> None:
    """The package and its face agree on the version."""
    assert PROJECT["project"]["version"] == coldframe.__version__


def test_everything_required_is_pinned() -> None:
    """Each package that the core and the tests name has its exact version in constraints.txt; PyTorch's is 2.13.0."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["parquet"]]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} - {"coldframe"}
    assert sorted(names - pins.keys()) == []
    assert pins["torch"] == "2.13.0"


def test_npm_lock_names_no_machine() -> None:
    """The lock fixes each npm package by its hash, and leaves open from which registry it comes."""
    text = (ROOT / "package-lock.json").read_text()
    assert "integrity" in text
    assert "resolved" not in text


def test_ruff_is_content() -> None:
    """Style, import order, return types, swallowed errors: see pyproject.toml, `tool.ruff`."""
    done = run("-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_strict() -> None:
    """mypy --strict has nothing to say about the parts that other parts rest on."""
    present = [named(PACKAGE / name) for name in STRICT if (PACKAGE / name).exists()]
    done = run("-m", "mypy", *present)
    assert done.returncode == 0, done.stdout + done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with these arguments in the project's root."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
