"""A teacher's recipe: every mistake is one clear line, and no key is ever shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from coldframe.corpus.teacher.settings import host_of, load_teacher
from coldframe.errors import SettingsError
from tests.corpus.teacher.recipes import KEY

ROOT = Path(__file__).parents[3]
SCENE = {"name": '"kitchen"', "topics": '["bread"]', "voice": '"a baker"'}
REWRITE = {"name": '"modern"', "path": '"talk.jsonl"'}
TEACHER = {"url": '"http://127.0.0.1:8080/v1"', "model": '"small"', "budget_tokens": "1000"}


def written(
    folder: Path, teacher: dict[str, str], scene: dict[str, str], rewrite: dict[str, str] | None = None
) -> Path:
    """A recipe of these tables."""
    tables = [("[teacher]", TEACHER | teacher), ("[[teacher.scene]]", SCENE | scene)]
    tables += [("[[teacher.rewrite]]", REWRITE | rewrite)] if rewrite is not None else []
    path = folder / "teacher.toml"
    path.write_text(
        "".join(
            f"{name}\n" + "".join(f"{key} = {value}\n" for key, value in table.items() if value)
            for name, table in tables
        )
    )
    return path


def test_a_whole_recipe(tmp_path: Path) -> None:
    recipe = load_teacher(written(tmp_path, {"retries": "2"}, {"with": '"a guest"', "turns": "4"}, {"count": "7"}))
    assert (recipe.teacher.retries, recipe.teacher.concurrency) == (2, 4)
    assert (recipe.scenes[0].with_, recipe.scenes[0].turns) == ("a guest", 4)
    assert (recipe.rewrites[0].path, recipe.rewrites[0].count) == (str(tmp_path / "talk.jsonl"), 7)


@pytest.mark.parametrize(
    ("teacher", "scene", "message", "advice"),
    [
        ({"modl": '"x"'}, {}, "[teacher] has no setting 'modl'", "did you mean 'model'?"),
        ({"model": ""}, {}, "[teacher] needs model", "docs/corpus.md"),
        ({"url": '""'}, {}, "[teacher] needs url", "docs/corpus.md"),
        ({"url": '"localhost:8080"'}, {}, "teacher.url is no address", "http://127.0.0.1:8080/v1"),
        ({"url": '"http://a:99999/v1"'}, {}, "teacher.url is no address", "http://"),
        ({"url": f'"https://me:{KEY}@host/v1"'}, {}, "more than a host and a path", "api_key_env"),
        ({"url": f'"https://host/v1?key={KEY}"'}, {}, "more than a host and a path", "api_key_env"),
        ({"api_key_env": f'"{KEY}"'}, {}, "api_key_env is not the name", "OPENAI_API_KEY"),
        ({"api_key": f'"{KEY}"'}, {}, "no setting 'api_key'", "did you mean 'api_key_env'?"),
        ({"budget_tokens": ""}, {}, "has no budget", "budget_tokens or budget_money"),
        ({"budget_money": "2.0"}, {}, "without prices", "price_input"),
        ({"budget_money": "nan", "price_input": "1.0"}, {}, "budget_money cannot be nan", "use 0 to"),
        ({"concurrency": "0"}, {}, "concurrency cannot be 0", "use 1 to 256"),
        ({"timeout_seconds": '"long"'}, {}, "timeout_seconds cannot be 'long'", "a number"),
        ({"temperature": "-1.0"}, {}, "temperature cannot be -1.0", "use 0 to 5"),
        ({}, {"wiht": '"x"'}, "no setting 'wiht'", "did you mean 'with'?"),
        ({}, {"with_": '"x"'}, "no setting 'with_'", "did you mean 'with'?"),
        ({}, {"with": "3"}, "teacher.scene.with cannot be 3", "a string"),
        ({}, {"topics": "[]"}, "[teacher.scene] needs topics", "docs/corpus.md"),
        ({}, {"topics": '["bread", " "]'}, "empty topic", "take it out"),
        ({}, {"turns": "1"}, "turns cannot be 1", "use 2 to 100"),
        ({}, {"name": '"a b"'}, "not a plain name", "letters"),
        ({}, {"name": '"modern"'}, "two tables of the recipe are named 'modern'", "its own name"),
    ],
)
def test_mistakes(tmp_path: Path, teacher: dict[str, str], scene: dict[str, str], message: str, advice: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_teacher(written(tmp_path, teacher, scene, {}))
    assert message in raised.value.message and advice in raised.value.advice
    assert KEY not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no section [teacher]"),
        ("[plna]\ndepth = 4\n", "unknown section [plna]"),
        ("[plan]\ndepth = 4\n", "no section [teacher]"),
        ('[teacher]\nurl = "http://a/v1"\nmodel = "x"\nbudget_tokens = 1\n', "asks nothing of the teacher"),
        ('[teacher]\nurl = "http://a/v1"\nmodel = "x"\nbudget_tokens = 1\nscene = 3\n', "not a list of tables"),
        ("teacher = 3\n", "no section [teacher]"),
        ("[teacher\n", "cannot be read"),
    ],
)
def test_broken_recipes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "teacher.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_teacher(path)
    assert message in raised.value.message


def test_hosts() -> None:
    found = [host_of(url) for url in ("http://[::1]:80/v1", "https://API.example.com/v1", "http://127.0.0.1:8080")]
    assert found == ["[::1]:80", "api.example.com", "127.0.0.1:8080"]


def test_the_example_is_a_recipe(tmp_path: Path) -> None:
    """What docs/corpus.md shows can be used as it stands."""
    page = (ROOT / "docs" / "corpus.md").read_text(encoding="utf-8")
    examples = [block.partition("\n```")[0] for block in page.split("```toml\n")[1:]]
    assert len(examples) == 1 and tomllib.loads(examples[0])
    (tmp_path / "teacher.toml").write_text(examples[0])
    recipe = load_teacher(tmp_path / "teacher.toml")
    assert recipe.scenes and recipe.rewrites
