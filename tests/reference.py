"""The reference tables of docs/cli.md, settings.md and model.md, rendered from the code that they describe.

A table stands between two comments, `<!-- table: NAME -->` and `<!-- end -->`. tests/test_reference.py holds them to
what this file renders; after a change of a flag, setting or rule, `python tests/reference.py` writes them anew.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from coldframe.cli import VERBS, load  # noqa: E402 (after the path)
from coldframe.corpus.sources import Source  # noqa: E402
from coldframe.hardware import Hardware  # noqa: E402
from coldframe.plan import make_plan  # noqa: E402
from coldframe.settings import SECTIONS, PlanSettings  # noqa: E402

PAGES = tuple(ROOT / "docs" / name for name in ("cli.md", "settings.md", "model.md"))
SHOWN_DEPTHS = (2, 4, 6, 8, 12, 16, 20, 24)
TABLE = re.compile(r"(<!-- table: (?P<name>[a-z. ]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


class Field(NamedTuple):
    """A field of a settings class."""

    name: str
    hint: Any
    marks: tuple[Any, ...]
    """What tyro is told about it."""
    default: Any
    """MISSING when there is none."""
    meaning: str


def fields_of(settings: type) -> list[Field]:
    """A dataclass's fields with the docstrings under them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(settings))).body[0]
    assert isinstance(tree, ast.ClassDef)
    meanings = {
        node.target.id: inspect.cleandoc(after.value.value).replace("\n", " ")
        for node, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
    hints = get_type_hints(settings, include_extras=True)
    found = []
    for item in dataclasses.fields(settings):
        hint, marks = hints[item.name], ()
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            marks = tuple(rest)
        made = item.default if item.default_factory is MISSING else item.default_factory()
        found.append(Field(item.name, hint, marks, made, meanings.get(item.name, "")))
    return found


def without_none(hint: Any) -> Any:
    """X of `X | None`."""
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return options[0] if len(options) == 1 else Union[tuple(options)]  # noqa: UP007 (made while running)
    return hint


def values(hint: Any) -> str:
    """What may stand there, in words."""
    hint = without_none(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of " + {str: "texts", Path: "paths"}[get_args(hint)[0]]
    if get_origin(hint) is Mapping:
        return "a table"
    return WORDS[hint]


def shown(default: Any) -> str:
    """A default, in words."""
    if default is MISSING:
        return "required"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ", ".join(f"`{value}`" for value in default) or "none"
    if default is None or default == "" or default == {}:
        return "not given"
    return f"`{default:,}`".replace(",", "_") if isinstance(default, int) and default >= 100_000 else f"`{default}`"


def flag(field: Field) -> str:
    """How a flag is written on the command line."""
    hint = without_none(field.hint)
    repeated = get_origin(hint) is tuple
    inner = get_args(hint)[0] if repeated else hint
    if any("Positional" in repr(mark) or getattr(mark, "name", "") == "POSITIONAL" for mark in field.marks):
        return f"`{field.name.upper()}...`" if repeated else f"`{field.name.upper()}`"
    aliases = [alias for mark in field.marks for alias in getattr(mark, "aliases", None) or ()]
    names = ", ".join(f"`{name}`" for name in [f"--{field.name.replace('_', '-')}", *aliases])
    if inner is bool:
        return names
    metavar = "\\|".join(get_args(inner)) if get_origin(inner) is Literal else METAVARS[inner]
    return f"{names} {metavar}{', repeatable' if repeated else ''}"


def rows(header: tuple[str, ...], body: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def setting_table(section: type) -> str:
    """A section's settings."""
    body = ((f"`{f.name}`", values(f.hint), shown(f.default), f.meaning) for f in fields_of(section))
    return rows(("setting", "value", "default", "meaning"), body)


def flag_table(verb: str) -> str:
    """A verb's flags."""
    body = ((flag(f), shown(f.default), f.meaning) for f in fields_of(load(VERBS[verb].settings)))
    return rows(("flag", "default", "meaning"), body)


def depth_table() -> str:
    """What some depths stand for."""
    machine = Hardware(device="cpu", name="any", free_memory=1 << 42, num_cores=2)
    plans = [make_plan(PlanSettings(depth=depth), machine).plan for depth in SHOWN_DEPTHS]
    header = ("depth", "width", "parameters", "vocabulary", "context", "horizon, tokens", "batch, tokens")
    return rows(header, (
        (str(p.depth), f"{p.width:,}", f"{p.num_parameters / 1e6:,.1f}M", f"{p.vocab_size:,}", f"{p.context:,}",
         f"{p.total_tokens / 1e6:,.0f}M", f"{p.total_batch_tokens:,}")
        for p in plans
    ))


TABLES: dict[str, Callable[[], str]] = {
    **{f"flags {verb}": partial(flag_table, verb) for verb in VERBS},
    **{f"settings {name}": partial(setting_table, section) for name, section in SECTIONS.items()},
    "settings corpus.source": partial(setting_table, Source),
    "depths": depth_table,
}


def rewritten(text: str) -> str:
    """A page with its tables as they should be."""
    return TABLE.sub(lambda found: f"{found[1]}{TABLES[found['name']]()}{found[4]}", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")
