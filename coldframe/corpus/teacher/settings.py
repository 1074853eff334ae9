"""What a teacher's recipe says: [teacher], [[teacher.scene]] and [[teacher.rewrite]]."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from coldframe.errors import SettingsError, did_you_mean
from coldframe.settings import SECTIONS, check_field, read_recipe

_PAGE = "docs/corpus.md"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Section = TypeVar("Section", "TeacherSettings", "SceneSettings", "RewriteSettings")
_LIMITS: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, 256),
    "retries": (0, 100),
    "timeout_seconds": (0.01, 86_400),
    "budget_tokens": (0, 1e15),
    "budget_money": (0, 1e9),
    "price_input": (0, 1e9),
    "price_output": (0, 1e9),
    "temperature": (0, 5),
    "max_tokens": (1, 1_000_000),
    "turns": (2, 100),
    "count": (0, 100_000_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSettings:
    """[teacher]: who is asked, how, and at what cost at most."""

    url: str
    """Where the endpoint's paths begin, mostly up to /v1."""
    model: str
    """The model's name there."""
    api_key_env: str = ""
    """The name of the environment variable that holds the key; the key itself stands in no file."""
    concurrency: int = 4
    """Requests under way at once."""
    retries: int = 5
    """How often a request is sent again: after 408, 409, 425, 429, 5xx, no answer in time, broken answers."""
    timeout_seconds: float = 120.0
    """Time for a whole answer."""
    budget_tokens: int | None = None
    """Tokens that the folder may cost in all, over all calls; this or budget_money is required."""
    budget_money: float | None = None
    """Money that the folder may cost in all, in the currency of the prices."""
    price_input: float = 0.0
    """Price of a million tokens that are sent."""
    price_output: float = 0.0
    """Price of a million tokens that are answered."""
    temperature: float = 0.9
    """Temperature of the answers."""
    max_tokens: int = 600
    """Tokens of an answer at most."""
    language: str = "en"
    """What the answers are written in, for the filters."""
    licence: str = "not stated"
    """Under which terms the answers may be used, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSettings:
    """[[teacher.scene]]: conversations on given topics in a given voice."""

    name: str
    """A plain name; it decides the scenes' seeds."""
    topics: tuple[str, ...]
    """What the scenes are about, in turn."""
    voice: str
    """Who answers: the assistant's side."""
    with_: str = "somebody who wants to know more"
    """Who speaks first: the user's side."""
    turns: int = 6
    """Turns of a scene."""
    count: int = 10
    """Scenes in all."""
    instructions: str = ""
    """Added to the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteSettings:
    """[[teacher.rewrite]]: the questions of conversations in modern words; their answers stay as they are."""

    name: str
    """A plain name."""
    path: str
    """A file or folder of conversations, such as `coldframe corpus dialogue` writes."""
    count: int = 1000
    """Pairs of a question and its answer at most."""
    instructions: str = ""
    """Added to the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRecipe:
    """A whole recipe."""

    teacher: TeacherSettings
    scenes: tuple[SceneSettings, ...]
    rewrites: tuple[RewriteSettings, ...]


def load_teacher(recipe: Path) -> TeacherRecipe:
    """Read a recipe.

    Raises:
        SettingsError: for a missing or broken file, an unknown key (with the nearest), or a value that makes no sense.
    """
    tables = read_recipe(recipe)
    for name in tables:
        if name != "teacher" and name not in SECTIONS:
            raise SettingsError(
                f"{recipe}: unknown section [{name}]",
                advice="a teacher's recipe has [teacher], [[teacher.scene]] and [[teacher.rewrite]]",
            )
    teacher = tables.get("teacher")
    if not isinstance(teacher, dict):
        raise SettingsError(f"{recipe} has no section [teacher]", advice=f"{_PAGE} has an example")
    given = dict(teacher)
    scenes = tuple(_table(SceneSettings, "teacher.scene", one) for one in _list(given, "scene"))
    rewrites = tuple(_table(RewriteSettings, "teacher.rewrite", one) for one in _list(given, "rewrite"))
    rewrites = tuple(
        dataclasses.replace(one, path=os.path.abspath(recipe.parent / os.path.expanduser(one.path))) for one in rewrites
    )
    found = TeacherRecipe(teacher=_table(TeacherSettings, "teacher", given), scenes=scenes, rewrites=rewrites)
    _check_endpoint(found.teacher)
    _check_budget(found.teacher)
    _check_tasks(found)
    return found


def key_of(teacher: TeacherSettings) -> str:
    """The endpoint's key, from the environment; empty where none is named.

    Raises:
        SettingsError: when the variable is not set, or holds what cannot be sent.
    """
    if not teacher.api_key_env:
        return ""
    key = os.environ.get(teacher.api_key_env, "").strip()
    if not key:
        raise SettingsError(
            f"the environment variable {teacher.api_key_env}, which teacher.api_key_env names, is not set",
            advice=f"type: export {teacher.api_key_env}=... (or leave api_key_env out where no key is needed)",
        )
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"the environment variable {teacher.api_key_env} holds characters that no key has", advice="set it again"
        )
    return key


def host_of(url: str) -> str:
    """Host and port of an address: what may be shown of it."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port is None else f"{host}:{parts.port}"


def _list(given: dict[str, Any], name: str) -> list[Any]:
    tables = given.pop(name, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise SettingsError(f"teacher.{name} is not a list of tables", advice=f"write each as [[teacher.{name}]]")
    return tables


def _table(of: type[Section], table: str, given: Mapping[str, Any]) -> Section:
    """A section from what the recipe says; `with` is a word of Python's own and so has another name here."""
    fields: dict[str, dataclasses.Field[Any]] = {item.name.rstrip("_"): item for item in dataclasses.fields(of)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise SettingsError(f"[{table}] has no setting {key!r}", advice=did_you_mean(key, fields))
        try:
            values[fields[key].name] = check_field(of, table, fields[key].name, value, page=_PAGE)
        except SettingsError as error:
            said = error.message.replace(f".{fields[key].name} cannot", f".{key} cannot")
            raise SettingsError(said, advice=error.advice) from None
        least, most = _LIMITS.get(key, (-math.inf, math.inf))
        if key in _LIMITS and not least <= values[fields[key].name] <= most:
            raise SettingsError(f"{table}.{key} cannot be {value!r}", advice=f"use {least:g} to {most:g}")
    for key, item in fields.items():
        if item.default is dataclasses.MISSING and not given.get(key):
            raise SettingsError(f"[{table}] needs {key}", advice=f"{_PAGE} has an example")
    return of(**values)


def _check_endpoint(teacher: TeacherSettings) -> None:
    try:
        parts = urlsplit(teacher.url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or any(letter.isspace() or not letter.isprintable() for letter in teacher.url):
        raise SettingsError("teacher.url is no address of a web server", advice="such as http://127.0.0.1:8080/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(
            "teacher.url holds more than a host and a path", advice="keys stand in the variable of api_key_env alone"
        )
    if teacher.api_key_env and not _VARIABLE.fullmatch(teacher.api_key_env):
        raise SettingsError(  # it may be the key itself, which is not shown
            "teacher.api_key_env is not the name of an environment variable",
            advice="put the key into a variable and its name here, such as OPENAI_API_KEY",
        )


def _check_budget(teacher: TeacherSettings) -> None:
    if teacher.budget_tokens is None and teacher.budget_money is None:
        raise SettingsError("[teacher] has no budget", advice="set budget_tokens or budget_money, or both")
    if teacher.budget_money is not None and not (teacher.price_input or teacher.price_output):
        raise SettingsError(
            "teacher.budget_money without prices limits nothing", advice="set price_input and price_output"
        )


def _check_tasks(recipe: TeacherRecipe) -> None:
    names = [scene.name for scene in recipe.scenes] + [rewrite.name for rewrite in recipe.rewrites]
    if not names:
        raise SettingsError(
            "the recipe asks nothing of the teacher", advice="add [[teacher.scene]] or [[teacher.rewrite]]"
        )
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise SettingsError(
                f"the name {name!r} is not a plain name",
                advice="use letters, digits, '-', '_' and '.', with a letter or digit first",
            )
        if names.count(name) > 1:
            raise SettingsError(f"two tables of the recipe are named {name!r}", advice="give each its own name")
    if any(not topic.strip() for scene in recipe.scenes for topic in scene.topics):
        raise SettingsError("teacher.scene.topics holds an empty topic", advice="take it out")
