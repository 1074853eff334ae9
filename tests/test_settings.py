"""Settings: recipes, overrides and flags in that order; what is unknown or of another type is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import SettingsError
from coldframe.settings import SECTIONS, load_settings, parse_override, settings_from
from coldframe.train.opening import sources_of


def recipe(folder: Path, text: str) -> Path:
    """A recipe file."""
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_later_wins(tmp_path: Path) -> None:
    """A default, then the recipe, then --set, then flags; what was given is remembered, what was not is not."""
    path = recipe(tmp_path, "[plan]\ndepth = 3\ncontext = 128\nnum_steps = 10\n[train]\nseed = 5\n")
    settings = load_settings(path, ["plan.context=256", "plan.num_steps=20"], {"plan": {"num_steps": 30}, "train": {}})
    assert (settings.plan.depth, settings.plan.context, settings.plan.num_steps) == (3, 256, 30)
    assert settings.train.seed == 5
    assert settings.train.keep_last == 2
    assert settings.given == {"plan": {"depth": 3, "context": 256, "num_steps": 30}, "train": {"seed": 5}}
    assert settings_from(settings.given).plan == settings.plan


def test_sources_are_seen_from_the_recipe(tmp_path: Path) -> None:
    """A relative path in a recipe is meant from the recipe's folder."""
    path = recipe(tmp_path, '[[corpus.source]]\nname = "a"\nkind = "prose"\npath = "text"\n')
    [source] = load_settings(path).sources
    assert source["path"] == str(tmp_path / "text")


def test_a_source_in_the_home_folder_or_behind_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~ is the user's own folder, and a link that leads to itself is for whoever reads the source to name."""
    monkeypatch.setenv("HOME", "/somebody")
    (tmp_path / "loop").symlink_to("loop")
    table = '[[corpus.source]]\nname = "{}"\nkind = "prose"\npath = "{}"\n'
    sources = load_settings(recipe(tmp_path, table.format("a", "~/books") + table.format("b", "loop/books"))).sources
    assert [source["path"] for source in sources] == ["/somebody/books", str(tmp_path / "loop" / "books")]


@pytest.mark.parametrize("text, said, hint", [
    ("[plan]\ndepht = 3\n", "no setting 'depht'", "'depth'"),
    ("[trian]\nseed = 3\n", "unknown section [trian]", "'train'"),
    ("seed = 3\n", "unknown section [seed]", ""),
    ("[[phase]]\nsteps = 3\n", "unknown section [phase]", "phase is to come with a later version"),
    ("[phase]\nsteps = 3\n", "unknown section [phase]", "phase is to come with a later version"),
    ("[[phases]]\nsteps = 3\n", "unknown section [phases]", "known: "),
    ("[plan]\ndepth = 'three'\n", "plan.depth cannot be 'three'", "a whole number"),
    ("[plan]\ndepth = 3.5\n", "plan.depth cannot be 3.5", "a whole number"),
    ("[plan]\ndepth = true\n", "plan.depth cannot be True", "a whole number"),
    ("[plan]\ndevice = 'gpu'\n", "plan.device cannot be 'gpu'", "'cuda'"),
    ("[train]\nsample_prompts = 'one'\n", "train.sample_prompts cannot be 'one'", "a list of strings"),
    ("[train]\nkeep_best = 1\n", "train.keep_best cannot be 1", "true or false"),
    ("[plan\n", "cannot be read", "TOML"),
    ("corpus = 3\n", "[corpus]", ""),
    ("[corpus]\nsource = 3\n", "[[corpus.source]]", ""),
    ("[corpus]\nsource = [3]\n", "[[corpus.source]]", ""),
    ("[corpus]\nsauce = 3\n", "sauce", ""),
    ("plan = 3\n", "[plan]", ""),
    ("[train]\nkeep_last = 0\n", "train.keep_last cannot be 0", "1 or more"),
    ("[train]\ncheckpoint_every = -5\n", "train.checkpoint_every cannot be -5", "0 or more"),
    ("[train]\nheld_out = 1.5\n", "train.held_out cannot be 1.5", "from 0 to 0.9"),
    ("[train]\nheld_out = nan\n", "train.held_out cannot be nan", "from 0 to 0.9"),
    ("[explore]\nport = 70000\n", "explore.port cannot be 70000", "65535"),
])  # fmt: skip
def test_what_makes_no_sense_is_named(tmp_path: Path, text: str, said: str, hint: str) -> None:
    """One clear error, with the nearest name or the type."""
    with pytest.raises(SettingsError) as caught:
        load_settings(recipe(tmp_path, text))
    assert said in caught.value.message
    assert hint in caught.value.advice


def test_what_is_to_come_is_said_so(tmp_path: Path) -> None:
    """A source's names of a later version; a slip is still answered with the nearest name."""
    table = '[[corpus.source]]\nname = "a"\nkind = "prose"\npath = "a"\n'
    for line, hint in (
        ("cap = 0.2", "cap is to come with a later version; leave it out until then"),
        ("floor = 0.1", "floor is to come with a later version"),
        ("shar = 0.1", "'share'"),
    ):
        with pytest.raises(SettingsError, match="has no setting") as caught:
            sources_of(load_settings(recipe(tmp_path, table + line)).sources)
        assert hint in caught.value.advice


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["not text", "a folder"])
def test_recipes_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """Not UTF-8, or a folder."""
    path = tmp_path / "recipe.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(path)


def test_no_recipe(tmp_path: Path) -> None:
    """A missing file points at the examples."""
    with pytest.raises(SettingsError, match="no recipe at") as caught:
        load_settings(tmp_path / "none.toml")
    assert "recipes/" in caught.value.advice


@pytest.mark.parametrize("text, expected", [
    ("plan.depth=4", 4), ("plan.memory=8GB", "8GB"), ("plan.learning_rate=1", 1), ("train.keep_best=false", False),
    ("train.sample_prompts=['a', 'b']", ["a", "b"]), ("plan.device = cpu", "cpu"), ("tokenizer.path='x = y'", "x = y"),
    ("tokenizer.path=a\nb = 3", "a\nb = 3"),
])  # fmt: skip
def test_overrides(text: str, expected: object) -> None:
    """The value is TOML; a bare word is a string; nothing smuggles in a second line."""
    section, key, value = parse_override(text)
    assert value == expected
    assert section in SECTIONS
    assert key


@pytest.mark.parametrize("text", ["depth=4", "plan.depth", "=4", "plan.=4", ".depth=4", "", "plan depth 4"])
def test_what_is_no_override(text: str) -> None:
    """Without section, key or value."""
    with pytest.raises(SettingsError, match="not section.key=value"):
        parse_override(text)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3))
NAMES = st.sampled_from([*SECTIONS, "other"])
KEYS = st.sampled_from([item.name for section in SECTIONS.values() for item in dataclasses.fields(section)] + ["other"])


@given(st.dictionaries(NAMES, st.dictionaries(KEYS, VALUES, max_size=4), max_size=3))
def test_anything_is_taken_or_refused(given_values: dict[str, dict[str, Any]]) -> None:
    """Settings of the fields' own types, or SettingsError."""
    try:
        settings = settings_from(given_values)
    except SettingsError as error:
        assert error.message
        return
    for section in given_values:
        for name, value in dataclasses.asdict(getattr(settings, section)).items():
            if name in given_values[section] and value is not None:
                wanted = given_values[section][name]
                assert value == (tuple(wanted) if isinstance(wanted, list) else wanted) or value != value


def test_every_setting_says_what_it_is() -> None:
    """Each field of each section has its sentence beneath it."""
    import ast
    import inspect

    for section in SECTIONS.values():
        body = ast.parse(inspect.getsource(section)).body[0].body  # type: ignore[attr-defined]
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{section.__name__}.{field.target.id} says nothing"  # type: ignore[union-attr]
