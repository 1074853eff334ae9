"""Any installed package as docstrings: found without being imported."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import Source, open_source, open_sources
from coldframe.errors import SourceError

TEXT = "This docstring is long enough to stand on a page by itself without any help from others. " * 4
RAISES = "raise SystemExit('imported')\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""{name}. {TEXT}"""\n{RAISES}')


def read(package: str) -> tuple[dict[str, str], dict[str, str]]:
    quarantine = Quarantine()
    source = open_source(Source(name="docs", kind="documentation", package=package))
    return {page.place: page.text for page in source.documents(quarantine)}, dict(quarantine.examples)


def test_a_package_a_part_of_it_and_a_single_module(installed: Path) -> None:
    names = ("boxed/__init__", "boxed/lid/__init__", "boxed/lid/hinge", "boxed/tests/a", "boxed/_vendor/b", "plank")
    write(installed, *names)
    assert set(read("boxed")[0]) == {"boxed", "boxed.lid", "boxed.lid.hinge"}
    assert set(read("boxed.lid")[0]) == {"boxed.lid", "boxed.lid.hinge"}
    assert set(read("boxed.lid.hinge")[0]) == {"boxed.lid.hinge"}
    assert read("plank")[0]["plank"].startswith("plank\n\nplank. This")
    assert not {"boxed", "plank"} & set(sys.modules)


def test_a_namespace_package_lies_in_several_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        monkeypatch.syspath_prepend(str(tmp_path / name))
        write(tmp_path / name, f"spread/{name}")
    importlib.invalidate_caches()
    assert set(read("spread")[0]) == {"spread.one", "spread.two"}


def test_what_cannot_be_parsed_is_set_aside(installed: Path) -> None:
    write(installed, "broken/__init__")
    (installed / "broken" / "half.py").write_text('"""Half')
    (installed / "broken" / "deep.py").write_text('"""x"""\nx = ' + "(" * 5000 + ")" * 5000)
    (installed / "broken" / "deeper.py").write_text('"""x"""\nx = ' + "-" * 200_000 + "1")
    (installed / "broken" / "bytes.py").write_bytes(b'"""caf\xe9"""')
    (installed / "broken" / "huge.py").write_bytes(b'"""x"""\n' + b"#\n" * (1 << 22))
    pages, bad = read("broken")
    assert set(pages) == {"broken"}
    assert set(bad) == {"broken.half", "broken.deep", "broken.deeper", "broken.bytes", "broken.huge"}


@pytest.mark.parametrize(
    ("package", "words", "advice"),
    [
        ("nump", "the package nump is not installed", "did you mean 'numpy'"),
        ("pyyaml", "the package pyyaml is not installed", "is installed as yaml: say that"),
        ("no_such_thing_at_all", "is not installed", "pip install no_such_thing_at_all"),
        ("numpy.nowhere", "the package numpy.nowhere is not installed", "numpy is installed, and has no such module"),
        ("json.decoder.deeper", "is not installed", "json"),
        ("math", "keeps no Python files", "compiled"),
        ("sys", "keeps no Python files", "compiled"),
    ],
)
def test_ones_own_package_that_is_not_there_is_an_error(package: str, words: str, advice: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        open_sources([Source(name="docs", kind="documentation", package=package)])
    assert advice in caught.value.advice


def test_real_packages() -> None:
    """One that is installed with coldframe, and one of the standard library by a dotted name."""
    assert any(text.startswith("yaml") for text in read("yaml")[0].values())
    assert {place.partition(".")[0] for place in read("xml.etree")[0]} == {"xml"}
    assert "hypothesis" in read("hypothesis")[0]
    assert "os" in read("os")[0]  # frozen into Python, and a file all the same
