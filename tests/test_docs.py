"""The documents say what is so: links lead somewhere, commands exist, folders and settings are named as they are.

Read off the tree: a document, a verb or a make target is held to this from the day it is there.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldframe.cli import VERBS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`|^ {4,}(\S.*)$", re.MULTILINE)


def named(path: Path) -> str:
    """A file's name as it is shown: from the project's root."""
    return path.relative_to(ROOT).as_posix()


def commands(document: Path) -> Iterator[str]:
    """Every piece of code in a document: fenced or indented lines, and what stands between backticks."""
    text = document.read_text(encoding="utf-8")
    for block in FENCED.findall(text):
        yield from block.splitlines()[1:-1]
    for inline, indented in CODE.findall(FENCED.sub("", text)):
        yield inline or indented


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    """A link to a file leads to one that is there."""
    targets = [link.split("#")[0] for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    missing = [target for target in targets if target and not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_exist(document: Path) -> None:
    """`make X` names a target, `coldframe X` a verb, and a script that is run is there."""
    wrong = [command for command in commands(document) if not exists(command)]
    assert wrong == []


def exists(command: str) -> bool:
    """Whether what a line of code starts is there; a line that starts nothing of ours is taken for good."""
    words = re.sub(r"^(?:\$ |[A-Z_]+=\S+ )+", "", command).replace(".venv/bin/", "").split()
    match words:
        case ["make", target, *_]:
            return target in TARGETS
        case ["coldframe", verb, *_] if re.fullmatch(r"[a-z]+", verb):
            return verb in {name.split()[0] for name in VERBS} or verb == "help"
        case ["python" | "python3" | "sh" | "pytest", path, *_] if not path.startswith("-"):
            return (ROOT / path).exists()
    return True


def test_contributing_names_the_folders_in_order() -> None:
    """The table in CONTRIBUTING.md has the folders in the order that the import check enforces."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [layer.strip("()") for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]]
    shown = re.findall(r"^\| `(\w+)/` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown == [layer for layer in reversed(layers) if layer in shown]
    folders = {path.parent.name for path in (ROOT / "coldframe").glob("*/__init__.py")}
    assert folders <= set(shown)


def test_targets_are_explained() -> None:
    """Each target that a person types has its line in `make help`."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    inner = {"environment", "environment-test", "browser"}
    assert set(re.findall(r"^([a-z][a-z-]*):.*  ## ", text, re.MULTILINE)) == TARGETS - inner


def test_settings_are_explained_where_they_stand() -> None:
    """Each field of the settings has a docstring under it."""
    tree = ast.parse((ROOT / "coldframe" / "settings.py").read_text(encoding="utf-8"))
    sections = re.compile(r"\w+Settings")  # not `Settings` itself, which only holds the sections
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and sections.fullmatch(node.name)]
    assert classes
    bare = [
        f"{owner.name}.{ast.unparse(field.target)}"
        for owner in classes
        for field, after in zip(owner.body, [*owner.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]
    assert bare == []
