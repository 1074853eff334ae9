"""Paragraphs are found in every layout, headings are told, and nothing but the book itself is read."""

from __future__ import annotations

import textwrap

import pytest

from coldframe.corpus.dialogue.paragraphs import body, paragraphs_of
from tests.corpus.dialogue.passages import MILL, SPOKEN, mill, talk

LONG = (
    "Anna had come down the hill before the sun was up, with the boys behind her and the basket on her arm, and she "
    "stood at the ford until the miller saw her."
)
TIGHT = [
    "The road went down between two hedges to the ford, and there stood a man who had the look of one that waits.",
    '"Is it far to the mill?" asked Anna, who had walked since the sun rose and wanted to sit down for a little.',
    '"Two miles by the road, and one across the fields," said he, and pointed with his stick to a row of poplars.',
    '"Then I shall take the fields, for I am tired of dust and of carts," said Anna, and looked at the gate there.',
    "CHAPTER II",
    "The fields were wet that year, and nobody had mown the path, so that she came late to the mill and to its dog.",
    '"Does he bite?" she called over the wall, for the dog was as large as a calf and did not seem to like her.',
    '"Only on Sundays," said the miller.',
]


def shown(text: str) -> list[str]:
    """What stands in each paragraph, on one line."""
    return [" ".join(text[start:end].split()) for start, end, _ in paragraphs_of(text)]


def headings(text: str) -> list[str]:
    return [text[start:end] for start, end, heading in paragraphs_of(text) if heading]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_part_paragraphs(end: str) -> None:
    wrapped = "\n\n".join(textwrap.fill(paragraph, 60) for paragraph in TIGHT).replace("\n", end)
    assert shown(wrapped) == TIGHT
    assert shown(wrapped.replace(f"{end}{end}", f"{end} \t{end}{end}{end}")) == TIGHT, "white space is empty too"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_line_is_a_paragraph_where_nobody_wrapped_them(end: str) -> None:
    paragraphs = [f'"{LONG}"', *TIGHT] * 3
    assert shown(end.join(paragraphs)) == paragraphs


def test_long_lines_among_empty_ones() -> None:
    """Two speeches without an empty line between them, in a file that otherwise has one."""
    text = f'{LONG}\n\n"{LONG}"\n"No, not before noon."\n"So be it."\n\n{LONG}\n\n{LONG}'
    assert shown(text) == [LONG, f'"{LONG}"', '"No, not before noon."', '"So be it."', LONG, LONG]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wrapped_lines_with_nothing_between_paragraphs(end: str) -> None:
    tight = end.join("\n".join(textwrap.wrap(paragraph, 60)).replace("\n", end) for paragraph in TIGHT)
    assert shown(tight) == TIGHT
    assert shown(tight + end) == TIGHT, "the end of the last line is no empty line"


def test_an_indented_line_begins_a_paragraph() -> None:
    """Also where the line before is full and ends no sentence that one could see."""
    lines = [("  " if number % 3 == 0 else "") + "he went on and on until the evening came" for number in range(12)]
    assert len(shown("\n".join(lines))) == 4


def test_the_few_empty_lines_of_a_tight_book_part_paragraphs() -> None:
    full = "Anna went down the road which she knew so well from childhood and\n" * 60
    assert len(shown(full + full)) == 1
    assert len(shown(full + "\n" + full)) == len(shown((full + "\n" + full).replace("\n", "\r\n"))) == 2


@pytest.mark.parametrize(
    "line",
    [
        "CHAPTER I",
        "Chapter 12. In which it rains",
        "XIV.",
        "7",
        "* * *",
        "-----",
        "ACT II",
        "Book the Second",
        "THE MILL",
    ],
)
def test_headings(line: str) -> None:
    text = f'"Is it far?" asked Anna.\n\n{line}\n\n"No," said the miller.\n\n"Good," said Anna.'
    assert headings(text) == [line]
    assert talk(text) == [["No,", "Good,"]], "a heading ends a conversation"
    assert talk(text.replace(f"{line}\n\n", "")) == [["Is it far?", "No,", "Good,"]]


@pytest.mark.parametrize(
    "line", ['"NO!"', "“WAIT FOR ME!”", "He waited.", "A chapter ended here for him.", "Bookish men."]
)
def test_what_is_no_heading(line: str) -> None:
    assert headings(f"{line}\n\nIt rained.\n\n{line}") == []


def test_pictures_and_page_numbers_are_no_paragraphs() -> None:
    text = mill(apart="\n\n[Illustration: Anna at\nthe mill]\n\n[Pg 17]\n\n")
    assert len(shown(text)) == len(MILL)
    assert talk(text) == [SPOKEN]


def test_the_book_without_what_the_library_put_around_it() -> None:
    head = 'Title: Anna\n\n"Who reads this?" said he.\n\n"Nobody," said she.\n\n'
    start, end = "*** START OF THE PROJECT GUTENBERG EBOOK ANNA ***\n\n", "\n\n*** END OF THE PROJECT GUTENBERG EBOOK"
    tail = ' ANNA ***\n\n"Is this the licence?" said he.\n\n"It is," said she.\n'
    text = head + start + mill() + end + tail
    left, right = body(text)
    assert text[left:right].strip() == mill()
    assert talk(text) == talk(text.replace("\n", "\r\n")) == [SPOKEN]
    assert talk(head + start + mill() + "\n\nEnd of the Project Gutenberg EBook of Anna\n\n" + tail) == [SPOKEN]
    assert len(talk(head + mill())) == 1 and body(mill()) == (0, len(mill())), "without marks all of it is the book"


@pytest.mark.parametrize("text", ["", "\n", " \r\n\r\n", "a", "\n\n\na\n\n", '"', "\ufeff"])
def test_hardly_any_text(text: str) -> None:
    assert len(paragraphs_of(text)) == bool(text.strip())
    assert talk(text) == []
