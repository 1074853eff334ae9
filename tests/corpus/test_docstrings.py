"""Reference pages from Python files that are never imported."""

from coldframe.corpus.docstrings import STANDS_ALONE, docstring_pages, python_files
from coldframe.corpus.documents import Quarantine


def pages(root, quarantine=None):
    files = python_files(root, frozenset({"tests"}))
    return {page.place: page.text for page in docstring_pages(root, "box", files, quarantine or Quarantine())}


def test_a_module_is_a_page_and_a_long_docstring_its_own(tmp_path):
    long = "A sentence that explains. " * (STANDS_ALONE // 20)
    (tmp_path / "__init__.py").write_text(
        f'''"""What this package is for, said in a sentence or two, so that a reader knows whether to go on reading it.

    It raises when imported, which shows that it never was.
"""
raise SystemExit("imported")


class Lid:
    """A lid of glass that lets in the light and keeps out the frost of a clear night."""

    def lift(self, height: float, *, slowly: bool = True) -> None:
        """Lift the lid to this height.

            Indented more than the rest.

        And the rest.
        """

    def close(self):
        """{long}"""
'''
    )
    found = pages(tmp_path)
    assert set(found) == {"box", "box.Lid.close"}
    assert "box.Lid.lift(height, *, slowly=True)\n\nLift the lid to this height.\n\n    Indented" in found["box"]
    assert found["box"].startswith("box\n\nWhat this package is for")
    assert found["box.Lid.close"].startswith("box.Lid.close()\n\nA sentence that explains.")


def test_repeats_tests_and_broken_files_are_left_out(tmp_path):
    text = "This docstring is long enough to stand on a page by itself without any help from others. " * 4
    (tmp_path / "tests").mkdir()
    for name in ("a.py", "b.py", "tests/c.py"):
        (tmp_path / name).write_text(f'"""{text}"""\n')
    (tmp_path / "broken.py").write_text('"""Unfinished')
    (tmp_path / "escape.py").write_text(f'"""A \\d warning. {text}"""\n')
    quarantine = Quarantine()
    assert set(pages(tmp_path, quarantine)) == {"box.a", "box.escape"}
    assert [place for place, _ in quarantine.examples] == ["box.broken"]


def test_docs_added_to_compiled_objects(tmp_path):
    text = "Explains at length what the object does, with all that a person may want to know. " * 4
    (tmp_path / "docs.py").write_text(
        f"add_newdoc('box._core.multiarray', 'array', ('sum', '''\n    {text}\n    '''))\n"
        "add_newdoc('box', name, computed)\n"
    )
    assert pages(tmp_path)["box.docs"].startswith("box.array.sum\n\nExplains at length")
