"""The reference pages name everything that is there: verbs, flags, settings, fields, tables, columns and addresses."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from coldframe.cli import VERBS
from coldframe.corpus.embedded import PACKAGES
from coldframe.corpus.sources import KINDS, Source
from coldframe.doctor import Check, DoctorVerb, examine
from coldframe.explore.app import create_app
from coldframe.generate.sampling import Sampling
from coldframe.model.memory import MemoryNeed
from coldframe.model.sizes import sizes_of_depth
from coldframe.model.transformer import Transformer
from coldframe.plan import Plan
from coldframe.run.requests import VERBS as REQUESTS
from coldframe.settings import SECTIONS
from coldframe.train.runfile import _FREE, _SOFT
from coldframe.train.session import Outcome
from tests import reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LIBRARY = sorted((ROOT / "coldframe").rglob("*.py"))


def page(name: str) -> str:
    """A page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a second-level heading."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def quoted(text: str) -> set[str]:
    """Everything between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_tables_are_what_the_code_says(path: Path) -> None:
    """After a change of a flag or setting: python tests/reference.py."""
    text = path.read_text(encoding="utf-8")
    for found in reference.TABLE.finditer(text):
        assert found["body"] == reference.TABLES[found["name"]](), f"{found['name']}: python tests/reference.py"
    assert reference.rewritten(text) == text


def test_every_table_stands_somewhere() -> None:
    """Every verb and every section has its table, once; the verbs that steer share one."""
    names = [found["name"] for path in reference.PAGES for found in reference.TABLE.finditer(path.read_text("utf-8"))]
    assert len(names) == len(set(names))
    shared = {f"flags {verb}" for verb in VERBS if VERBS[verb].settings == VERBS["pause"].settings} - {"flags pause"}
    assert set(names) == set(reference.TABLES) - shared


def test_every_verb_has_a_heading() -> None:
    """A verb is found by its name in the table of contents that a viewer makes of the headings."""
    headings = ", ".join(re.findall(r"^## (.*)$", page("cli.md"), re.MULTILINE))
    assert set(headings.split(", ")) == set(VERBS)


def test_every_setting_has_a_meaning() -> None:
    """No empty cell in a table of settings or flags."""
    flags = {verb: reference.load(entry.settings) for verb, entry in VERBS.items()}
    bare = [
        f"{name}: {field.name}"
        for name, settings in {**SECTIONS, **flags}.items()
        for field in reference.fields_of(settings)
        if not field.meaning
    ]
    assert bare == []


def test_sources_are_explained() -> None:
    """Kinds, packages and every field of a source."""
    text = quoted(section(page("settings.md"), "[[corpus.source]]"))
    assert {item.name for item in dataclasses.fields(Source)} | set(KINDS) | set(PACKAGES) <= text


def test_json_fields_are_named() -> None:
    """What a program reads is named under the verb that prints it."""
    text = page("cli.md")
    assert {item.name for item in dataclasses.fields(Plan)} <= quoted(section(text, "plan"))
    assert {item.name for item in dataclasses.fields(MemoryNeed)} <= quoted(section(text, "plan"))
    assert {item.name for item in dataclasses.fields(Outcome)} <= quoted(section(text, "train"))
    assert {item.name for item in dataclasses.fields(Check)} <= quoted(section(text, "doctor"))
    for field in ("text", "step", "num_tokens", "time_to_first_token_seconds", "tokens_per_second"):
        assert f"`{field}`" in section(text, "chat")


def test_checks_are_named(tmp_path: Path) -> None:
    """Each of the doctor's checks stands in its section."""
    names = {check["name"] for check in examine(DoctorVerb(runs=tmp_path))["checks"]}
    rows = re.findall(r"^\| (`.*?) \|", section(page("cli.md"), "doctor").split("<!-- end -->")[1], re.MULTILINE)
    assert names == quoted("\n".join(rows))


def test_resume_rules_are_named() -> None:
    """Which settings may change at a resume stands as the code has it."""
    rows = section(page("settings.md"), "What may change at a resume").splitlines()
    free, soft = (quoted(row.split("|")[1]) for row in rows if row.startswith("| ") and "`" in row.split("|")[1])
    assert {name.removeprefix("plan.") for name in soft} == _SOFT
    train = {item.name for item in dataclasses.fields(SECTIONS["train"])}
    assert {f"plan.{name}" for part, name in _FREE if part == "plan"} == {name for name in free if "plan." in name}
    assert train - {name for part, name in _FREE if part == "train"} == free & train


def test_every_request_is_explained() -> None:
    """Each request that a run may be asked is a verb of the command line."""
    assert set(REQUESTS) <= set(VERBS)


def test_every_address_is_explained(tmp_path: Path) -> None:
    """Each path of the explorer's API stands in docs/explorer.md, with NAME for {name}; `X[.json]` stands for two."""
    named = set(re.findall(r"/[A-Za-z./{}_-]*(?:\[\.json\])?", page("explorer.md")))
    named |= {path.replace("[.json]", ending) for path in named for ending in ("", ".json")}
    paths = {re.sub(r"{(\w+)}", lambda part: part[1].upper(), path) for path in create_app(tmp_path).openapi()["paths"]}
    assert sorted(paths - named) == []


def test_every_parameter_is_explained() -> None:
    """The model's parameters, by name, are those of the table in docs/model.md."""
    sizes = sizes_of_depth(2, vocab_size=300, context=32, width=32, head_dim=8)
    names = {re.sub(r"\d+", "N", name) for name, _ in Transformer(sizes).named_parameters()}
    rows = re.findall(r"^\| `([\w.]+)` \| .*(?:AdamW|Muon) \|$", page("model.md"), re.MULTILINE)
    assert set(rows) == names


def test_sampling_is_offered_everywhere() -> None:
    """What sampling can do can be asked for on the command line."""
    flags = {field.name for field in reference.fields_of(reference.load(VERBS["chat"].settings))}
    assert {item.name for item in dataclasses.fields(Sampling)} <= flags


def test_messages_point_to_pages_that_exist() -> None:
    """A page that the library or its comments name is there."""
    named = {name for path in LIBRARY for name in re.findall(r"docs/([a-z-]+\.md)", path.read_text(encoding="utf-8"))}
    assert sorted(name for name in named if not (DOCS / name).exists()) == []


def test_readme_shows_every_file() -> None:
    """The file tree in README.md has each folder of the package and each file directly in it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    package = ROOT / "coldframe"
    names = [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    names += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert [name for name in names if name not in text] == []


def test_readme_names_five_files_to_read() -> None:
    """They exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d\. \[`(coldframe/[a-z_/]+\.py)`\]", text, re.MULTILINE)
    assert len(listed) == 5
    assert all((ROOT / name).is_file() for name in listed)


def test_index_leads_to_every_page() -> None:
    """No page of docs/ is hidden."""
    text = page("index.md")
    assert [path.name for path in DOCS.glob("*.md") if path.name != "index.md" and f"({path.name})" not in text] == []


def test_nothing_names_a_folder_of_this_machine() -> None:
    """No path from the root of a developer's disk stands in a document, a recipe, the library or a script."""
    folders = [ROOT / name for name in ("docs", "recipes", "coldframe", "benchmarks", "setup")]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".md", ".toml", ".py", ".sh")]
    systems = {"proc", "sys", "dev", "etc", "usr", "bin", "lib"}
    found = []
    for path in [*texts, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        starts = set(re.findall(r"(?<![\w.:/{}*)])/([A-Za-z]\w*)/", path.read_text(encoding="utf-8"))) - systems
        found += [f"{path.name}: /{start}" for start in starts if Path("/", start).is_dir()]
    assert found == []


def test_log_entries_are_dated() -> None:
    """Every entry of the log stands under a day, the newest on top, and says what shows it."""
    days = re.split(r"^## ", page("log.md"), flags=re.MULTILINE)[1:]
    dates = [day.splitlines()[0] for day in days]
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) for date in dates) and dates == sorted(dates, reverse=True)
    entries = [entry for day in days for entry in re.split(r"^### ", day, flags=re.MULTILINE)[1:]]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "Shown by: " not in entry] == []


def test_examples_of_settings_are_settings() -> None:
    """`--set section.key=value` and `section.key` in a document name settings that exist."""
    known = {f"{name}.{item.name}" for name, part in SECTIONS.items() for item in dataclasses.fields(part)}
    ending = {f"{name}.{ending}" for name in SECTIONS for ending in ("json", "py", "md")}
    for path in [*ROOT.glob("*.md"), *DOCS.glob("*.md")]:
        named = re.findall(r"(?<![\w/])(?:plan|tokenizer|train|explore)\.[a-z_]+\b", path.read_text(encoding="utf-8"))
        assert sorted(set(named) - known - ending) == [], path.name


def test_examples_of_code_are_python() -> None:
    """A fenced block of Python parses."""
    for path in [*ROOT.glob("*.md"), *DOCS.glob("*.md")]:
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            ast.parse(block)
