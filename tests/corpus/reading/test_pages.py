"""Markup becomes plain text, and loses nothing that is said."""

from __future__ import annotations

import io
import time
import zipfile

import pytest

from coldframe.corpus.reading.pages import epub_parts, html_text, markdown_text, part_text, rst_text, without_tags
from tests.corpus.reading.files import epub, read_bytes, texts, zipped

PAGE = "<html><head><title>{0}</title></head><body><p>Chapter {0} &amp; more.</p></body></html>"


def test_a_page_without_what_is_around_it():
    body = " ".join(f"Sentence {number} of the story." for number in range(40))
    source = f"""<html><head><title>The story</title><script>var x = 1</script><style>p {{}}</style></head><body>
        <nav><a href="/">Home</a> <a href="/about">About</a></nav><main><h1>Begin</h1><p>{body}</p></main>
        <footer>Imprint</footer></body></html>"""
    text = html_text(source)
    assert text.startswith("The story\n\nBegin")
    assert body in text
    assert not any(word in text for word in ("Home", "var x", "Imprint"))


@pytest.mark.parametrize("tag", ["<title/>", '<script src="a.js"/>', '<a id="one"/>', '<div class="x" />', "<style/>"])
def test_xhtml_that_closes_elements_in_their_beginning(tag):
    assert part_text(f"<html><head>{tag}</head><body>{tag}<p>All of it.</p></body></html>") == "All of it."


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("use <b> for bold", "use <b> for bold"),
    ],
)
def test_fields_with_tags(text, plain):
    assert without_tags(text) == plain


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("---\ntitle: A\ntags: [b]\n---\n# A\n", "# A\n"),
        ("---\n\nNot front matter.\n\n---\n\nMore.\n", "---\n\nNot front matter.\n\n---\n\nMore.\n"),
        ("one <!-- a\ncomment --> two", "one  two\n"),
        ("one <!-- no end", "one <!-- no end\n"),
        ("![a](b.png) [![c](d.png)](e)\n\nSee ![f](g.png) here.\n", "See ![f](g.png) here.\n"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo\n"),
    ],
)
def test_markdown(source, text):
    assert markdown_text(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (".. _label:\n\nTitle\n=====\n", "Title\n=====\n"),
        (".. a comment\n   of two lines\n\nText.", "Text.\n"),
        (".. index::\n   single: a\n   single: b\n\n.. audit-event:: x y z\n\nText.", "Text.\n"),
        (".. note:: Mind it.", "Note: Mind it.\n"),
        (".. warning::\n\n   Mind it.", "Warning:\n\n   Mind it.\n"),
        (".. versionadded:: 3.2\n   The rest.", "Added in version 3.2\n   The rest.\n"),
        (".. availability:: Unix.", "Availability: Unix.\n"),
        (".. function:: f(x)\n   :module: m\n   :noindex:\n\n   Does it.", "f(x)\n\n   Does it.\n"),
        (".. function:: f(x)\n\n   :param x: what\n   :returns: the answer",
         "f(x)\n\n   :param x: what\n   :returns: the answer\n"),
        (".. code-block:: python\n   :linenos:\n\n   x = 1", "x = 1\n"),
        ("See :mod:`json`, :func:`~os.path.join`, :class:`!C` and :ref:`the end <end>`.",
         "See json, join, C and the end.\n"),
        ("See :pep:`8` and `a page <https://a.example>`_.", "See PEP 8 and a page.\n"),
    ],
)  # fmt: skip
def test_rst(source, text):
    assert rst_text(source) == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("convert", "source"),
    [
        (markdown_text, "<!--" * 200_000),
        (markdown_text, "![](a) " * 100_000 + "x"),
        (rst_text, ":a" * 200_000),
        (rst_text, "`" + " " * 100_000),
        (rst_text, ".. a::\n" + "   :b: c\n" * 50_000),
        (rst_text, ".. x\n" + "\n" * 100_000),
        (html_text, "<div>" * 100_000 + "x"),
        (html_text, "<div></x>" * 50_000 + "x"),
        (html_text, "<" * 200_000),
    ],
)
def test_no_source_takes_its_square(convert, source):
    start = time.process_time()
    convert(source)
    assert time.process_time() - start < 5


def parts(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return epub_parts(archive)


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path):
    pages = {name: PAGE.format(name) for name in ("two", "one", "extra")}
    content = epub(pages, spine=("one", "two"))
    assert parts(content) == ["in/one.xhtml", "in/two.xhtml"]
    assert texts(tmp_path, "a.epub", content) == ["Chapter one & more.\n", "Chapter two & more.\n"]


def test_the_parts_of_a_book_that_cannot_be_read_cost_themselves(tmp_path):
    pages = {"one": PAGE.format("é"), "large": " " * (1 << 24) + "x", "three": PAGE.format("ö").encode("utf-16"),
             "four": PAGE.format("ä").replace("<html>", "<html>\n" * 60).encode() + b"\n\xff"}  # fmt: skip
    documents, bad = read_bytes(tmp_path, "a.epub", epub(pages, spine=("one", "large", "lost", "three", "four")))
    assert [document.text for document in documents] == [f"Chapter {letter} & more.\n" for letter in "éöä"]
    assert bad == {
        "a.epub: in/large.xhtml": "cannot be read: is larger than 16 MB, which no page is",
        "a.epub: in/lost.xhtml": "is missing in the book",
        "a.epub: in/four.xhtml:62": "byte 0xff is not UTF-8: the line is left out",
    }


ITEM = (
    '<package xmlns="http://www.idpf.org/2007/opf"><manifest>{}</manifest><spine><itemref idref="a"/></spine></package>'
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no zip",
        zipped({"one.xhtml": PAGE}),
        zipped({"META-INF/container.xml": "<container/>"}),
        zipped({"META-INF/container.xml": '<container><rootfile full-path="lost.opf"/></container>'}),
        zipped({"META-INF/container.xml": '<?xml version="1.0" encoding="klingon"?><container/>'}),
        epub({}, package="<package"),
        epub({}, package=ITEM.format("")),
        epub({}, package=ITEM.format('<item id="a"/>')),
        epub({}, package="<!DOCTYPE a [" + "".join(
            f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol"}">' for n in range(12)) + "]><a>&a11;</a>"),
    ],
)  # fmt: skip
def test_books_that_do_not_say_what_their_parts_are(tmp_path, content):
    documents, bad = read_bytes(tmp_path, "a.epub", content)
    assert not documents
    assert bad["a.epub"].startswith("is not an EPUB")


def test_a_book_without_text(tmp_path):
    assert read_bytes(tmp_path, "a.epub", epub({}))[1] == {"a.epub": "holds no text"}
    assert read_bytes(tmp_path, "a.epub", epub({"cover": '<img src="a.png"/>'}))[1] == {"a.epub": "holds no text"}
