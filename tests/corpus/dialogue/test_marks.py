"""Speech is found in every kind of marks, and apostrophes are none."""

from __future__ import annotations

import pytest

from coldframe.corpus.dialogue.marks import Style, find_style, speech_in
from tests.corpus.dialogue.passages import MILL, SPOKEN, mill, talk

STRAIGHT = Style("straight", '"', '"')
SINGLE = Style("single", "'", "'")
CURLY_SINGLE = Style("single", "‘", "’")
CURLY = Style("pair", "“", "”")
DASH = Style("dash", "—")


def spoken(text: str, style: Style) -> list[str]:
    """What is spoken in one paragraph."""
    return [text[start:end] for start, end in speech_in(text, 0, len(text), style).spans]


@pytest.mark.parametrize(
    ("style", "opener", "closer"),
    [
        (STRAIGHT, '"', '"'),
        (CURLY, "“", "”"),
        (CURLY_SINGLE, "‘", "’"),
        (SINGLE, "'", "'"),
        (Style("pair", "«", "»"), "«", "»"),
        (Style("pair", "«", "»"), "«\xa0", "\xa0»"),
        (Style("pair", "»", "«"), "»", "«"),
        (Style("pair", "„", "“"), "„", "“"),
        (Style("pair", "„", "”"), "„", "”"),
        (Style("pair", "‹", "›"), "‹", "›"),
        (Style("pair", "「", "」"), "「", "」"),
    ],
)
def test_the_marks_of_a_book(style: Style, opener: str, closer: str) -> None:
    text = mill(opener, closer)
    assert find_style(text) == style
    assert talk(text) == [SPOKEN]
    curly = mill(opener, closer).replace("'", "’") if style != SINGLE else text
    assert talk(curly) == [[words.replace("'", "’") for words in SPOKEN] if style != SINGLE else SPOKEN]


def test_dashes() -> None:
    text = "\n\n".join(f"— {words.rstrip(',.')}{'' if words[-1] == '?' else ','} {tag}." for words, tag in MILL)
    assert find_style(text) == DASH
    assert talk(text) == [SPOKEN]
    assert talk(text.replace("— ", "--")) == [SPOKEN]


@pytest.mark.parametrize(
    ("paragraph", "words"),
    [
        ("— Où allez-vous ? demanda le notaire.", ["Où allez-vous ?"]),
        ("— À la ville, dit-il. Je n'en reviendrai pas.", ["À la ville,", "Je n'en reviendrai pas."]),
        ("— Vous avez tort, répondit-elle.", ["Vous avez tort,"]),
        ("— Jamais ! s’écria-t-il.", ["Jamais !"]),
        ("— Jamais ! s'écria Paul.", ["Jamais !"]),
        ("— Bien, dites-moi tout.", ["Bien, dites-moi tout."]),
        ("— No lo sé —dijo Pedro—. Mañana iré.", ["No lo sé", "Mañana iré."]),
        ("—¿Quién es? —preguntó ella.", ["¿Quién es?"]),
        ("– Не знаю, – сказал он. – Завтра.", ["Не знаю,", "Завтра."]),
        ("-- I never knew, he said, that it was so late.", ["I never knew,"]),
        ("Il se tut — longtemps.", []),
    ],
)
def test_what_is_spoken_behind_a_dash(paragraph: str, words: list[str]) -> None:
    assert spoken(paragraph, DASH) == words


@pytest.mark.parametrize("style", [SINGLE, CURLY_SINGLE])
@pytest.mark.parametrize(
    ("paragraph", "words"),
    [
        ("<'Tis the boys' hats,> said he.", ["'Tis the boys' hats,"]),
        ("<An' I'm goin' to fetch 'em.>", ["An' I'm goin' to fetch 'em."]),
        ("<No,> said Anna's brother. 'Twas late. <Go on!>", ["No,", "Go on!"]),
        ("<I won't,> said she.", ["I won't,"]),
        ("The boys' boots weren't Anna's.", []),
        ("<Why should I>, he said, <go there>?", ["Why should I", "go there"]),
        ("He cried <Help!> and ran.", ["Help!"]),
    ],
)  # fmt: skip
def test_apostrophes_are_no_marks(style: Style, paragraph: str, words: list[str]) -> None:
    """Marks of speech are written < and > here."""
    apostrophe = "'" if style == SINGLE else "’"

    def marked(text: str) -> str:
        return text.replace("'", apostrophe).replace("<", style.opener).replace(">", style.closer)

    assert spoken(marked(paragraph), style) == [marked(one) for one in words]


@pytest.mark.parametrize(
    ("paragraph", "words"),
    [
        ('"Go," he said, "and come back."', ["Go,", "and come back."]),
        ("\"He said 'Go' to me,\" said Anna.", ["He said 'Go' to me,"]),
        ('"I get," he said, \'so tired."', ["I get,", "so tired."]),
        ('He knew it." Then he went.', []),
        ('"I came--"', ["I came--"]),
        ('" No ," said he.', ["No ,"]),
        ('""', []),
    ],
)
def test_straight_marks(paragraph: str, words: list[str]) -> None:
    assert spoken(paragraph, STRAIGHT) == words


@pytest.mark.parametrize(
    ("paragraph", "style", "left_open", "begins"),
    [
        ('"I came by the road.', STRAIGHT, True, True),
        ('"I came by the road."', STRAIGHT, False, True),
        ('He said, "I came.', STRAIGHT, True, False),
        ("“I came by the road.", CURLY, True, True),
        ("“I came,” said he.", CURLY, False, True),
        ("‘I came by the road.", CURLY_SINGLE, True, True),
        ("‘I came by the boys’", CURLY_SINGLE, False, True),
        ("— I came.", DASH, False, True),
        ("He came.", DASH, False, False),
    ],
)
def test_speech_that_the_next_paragraph_goes_on_with(
    paragraph: str, style: Style, left_open: bool, begins: bool
) -> None:
    speech = speech_in(paragraph, 0, len(paragraph), style)
    assert (speech.left_open, speech.begins) == (left_open, begins)


def test_what_closes_speech_most_often_is_the_mark() -> None:
    """Also where one novel quotes in the other marks, and is full of apostrophes."""
    inner = "\"He said to me, 'Go,' and I didn't,\" said Anna.\n\n\"You'd better,\" said Paul.\n\n"
    assert find_style(inner * 9) == STRAIGHT
    outer = "'He said to me, \"Go,\" and I didn't,' said Anna.\n\n'You'd better,' said Paul.\n\n"
    assert find_style(outer * 9) == SINGLE
    assert talk(outer) == [['He said to me, "Go," and I didn\'t,', "You'd better,"]]
    assert find_style("‘No,’ said he. ‘It’s the boys’.’\n\n“Ha”" * 9) == CURLY_SINGLE


def test_a_book_without_talk_has_no_style() -> None:
    treatise = "The boys' boots aren't what they were; 'tis the leather. A so-called \"boot\" lasts.\n\n" * 300
    assert find_style(treatise).kind == "none"
    assert talk(treatise) == []
    assert find_style(treatise * 3 + mill()).kind == "straight"
