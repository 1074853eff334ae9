"""Conversations: who answers whom, where a third voice cuts, what any text gives, and in what time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.corpus.dialogue.exchanges import exchanges
from tests.corpus.dialogue.passages import NARRATION, SPOKEN, mill, talk

BINGLEY = """
"My dear Mr. Bennet," said his lady to him one day, "have you heard that
Netherfield Park is let at last?"

Mr. Bennet replied that he had not.

"But it is," returned she; "for Mrs. Long has just been here, and she
told me all about it."

Mr. Bennet made no answer.

"Do not you want to know who has taken it?" cried his wife, impatiently.

"_You_ want to tell me, and I have no objection to hearing it."

This was invitation enough.

"What is his name?"

"Bingley."

"Is he married or single?"

"Oh, single, my dear, to be sure! A single man of large fortune; four or
five thousand a year. What a fine thing for our girls!"

"How so? how can it affect them?"
"""
"""Pride and Prejudice, chapter 1, shortened."""
CAB = """
“You have been in Afghanistan, I perceive.”

“How on earth did you know that?” I asked in astonishment.

“Never mind,” said he, chuckling to himself. “The question now is about hæmoglobin. No doubt you see the significance of
this discovery of mine?”

“It is interesting, chemically, no doubt,” I answered, “but practically——”

“Why, man, it is the most practical medico-legal discovery for years.”
"""
"""A Study in Scarlet, chapter 1, shortened."""


def test_a_novel() -> None:
    want, name, *_ = talk(BINGLEY)
    assert want == [
        "Do not you want to know who has taken it?",
        "_You_ want to tell me, and I have no objection to hearing it.",
    ]
    assert name[:3] == ["What is his name?", "Bingley.", "Is he married or single?"]
    assert name[-1] == "How so? how can it affect them?"
    [cab] = talk(CAB)
    assert [words.split()[0] for words in cab] == ["You", "How", "Never", "It", "Why,"]
    assert cab[2].startswith("Never mind, The question now is") and "significance of this discovery" in cab[2]


def test_where_the_words_stand() -> None:
    for text in (CAB, CAB.replace("\n", "\r\n"), "\ufeff" + CAB):
        [cab] = exchanges(text)
        start, end = cab[2].spans[0]
        assert text[start - 1 : end + 1] == "“Never mind,”"
        start, end = cab[2].spans[1]
        assert text[start - 1 : end + 1].startswith("“The question") and text[end] == "”"


def test_a_paragraph_left_open_joins_the_next() -> None:
    text = '"I came by the road.\n\n"At last I saw the mill," said Anna.\n\n"And then?" asked Paul.'
    assert talk(text) == [["I came by the road. At last I saw the mill,", "And then?"]]
    closed = text.replace("road.\n", 'road."\n')
    assert talk(closed) == [["I came by the road.", "At last I saw the mill,", "And then?"]]
    broken = text.replace("road.\n\n", "road.\n\nCHAPTER II\n\n")
    assert talk(broken) == [["At last I saw the mill,", "And then?"]], "never over a heading"
    answered = '"I came by the road.\n\nThen Paul said, "And then?"'
    assert talk(answered) == [["I came by the road.", "And then?"]], "what goes on opens with a mark"
    curly = "“I came by the road.\n\n“At last I saw the mill.\n\n“I rested,” said Anna.\n\n“And then?” asked Paul."
    assert talk(curly) == [["I came by the road. At last I saw the mill. I rested,", "And then?"]]


def test_the_gap_decides_how_much_narration_may_stand_between() -> None:
    def between(times: int) -> str:
        return f'"It is late," said Anna.\n\n{NARRATION * times}\n\n"It is not," said Paul.'

    found = [["It is late,", "It is not,"]]
    assert talk(between(0), 0) == found
    assert talk(between(1)) == found and talk(between(1), 50) == []
    assert talk(between(3)) == [] and talk(between(3), 400) == found


def test_one_name_in_both_tags_is_never_a_pair() -> None:
    text = '"It is late," said Anna.\n\n"Go now," said Anna.\n\n"I will," said Paul.'
    assert talk(text, 1 << 19) == [["Go now,", "I will,"]]


def test_three_voices_are_cut() -> None:
    """The turn where it is cut ends one conversation and begins the next; nobody answers himself."""
    turns = [("One", "Anna"), ("Two", "Paul"), ("Three", "Mary"), ("Four", "Paul"), ("Five", "Anna"), ("Six", "Paul")]
    found = talk("\n\n".join(f'"{word}," said {name}.' for word, name in turns))
    who = {f"{word},": name for word, name in turns}
    assert {words for exchange in found for words in exchange} == set(who)
    assert len(found) >= 2
    for exchange in found:
        for side in (exchange[::2], exchange[1::2]):
            assert len({who[words] for words in side}) == 1, found
        assert who[exchange[0]] != who[exchange[1]]


def test_unnamed_turns_between_two_that_contradict_each_other() -> None:
    """An odd number of turns from Anna to Anna: somebody said two of them, most likely where narration stands."""
    text = f'"One," said Anna.\n\n"Two."\n\n"Three."\n\n{NARRATION}\n\n"Four," said Anna.\n\n"Five," said Paul.'
    assert talk(text, 400) == [["One,", "Two.", "Three."], ["Three.", "Four,", "Five,"]]
    assert talk(text.replace('\n\n"Five," said Paul.', ""), 400) == [["One,", "Two.", "Three."], ["Three.", "Four,"]]
    early = f'"One," said Anna.\n\n{NARRATION}\n\n"Two."\n\n"Three."\n\n"Four," said Anna.'
    assert talk(early, 400) == [["Two.", "Three.", "Four,"]]
    even = text.replace('"Four," said Anna', '"Four," said Paul').replace('"Five," said Paul', '"Five," said Anna')
    assert talk(even, 400) == [["One,", "Two.", "Three.", "Four,", "Five,"]]


def test_chapters_and_talk_to_nobody() -> None:
    assert talk(f"{mill()}\n\nCHAPTER II\n\n{mill()}") == [SPOKEN, SPOKEN]
    assert talk('He called it "home" then.\n\nShe had read "Emma" twice.') == []
    assert talk('"It is late," said Anna, and left.') == []


MARKS = [*"\"'“”‘’«»„—,.!?:()[]_", "--", ',"', '."', '?"', ",’", ".”", "'tis ", "s' "]
GAPS = [" ", "\n", "\r\n", "\n\n", "\t", "\0", "\ufeff", "\u2028", "\x85", "\xa0"]
WORDS = ["a", "A", "Anna", "Paul", "Mr. ", "I ", "sir, ", "thought ", "the old man ", "à", "İ", "ß", "😀"]
TAGS = [" said ", " said Anna", "he said", " asked Paul", "dit-il, "]
LABELS = ["AB. ", "CD. ", "AB\n", "CD\n", "Ham: ", "Oph: ", "Enter ", "ACT I\n", "CHAPTER I", "[Illustration: a]"]
ENDS = ["*** START OF x\n", "*** END OF"]
PARAGRAPHS = [
    '"Aa bb," said Bob.',
    '"Yes?" he said.',
    "“No,” said Al.",
    "'Tis so,' said Al.",
    "— Si, dit-il.",
    "AB. No.",
    "CD. Yes.",
]
PIECES = st.lists(st.sampled_from([*MARKS, *GAPS, *WORDS, *TAGS, *LABELS, *ENDS]), max_size=30).map("".join)
BOOKS = st.lists(st.one_of(st.sampled_from(PARAGRAPHS), PIECES), max_size=20).map("\n\n".join)
PLAYS = st.lists(st.tuples(st.sampled_from(["AB. ", "CD. ", "EF. "]), PIECES), min_size=25, max_size=40).map(
    lambda speeches: "\n".join(label + words for label, words in speeches)
)


@settings(max_examples=60)
@given(text=st.one_of(BOOKS, PLAYS, st.text(max_size=200)), gap=st.sampled_from([0, 50, 200, 1 << 19]))
def test_any_text(text: str, gap: int) -> None:
    """Nothing raises; every conversation has an answer; spans are in order, in the text, and say what is said."""
    found = exchanges(text, gap)
    for exchange in found:
        assert len(exchange) >= 2
        at = 0
        for spoken in exchange:
            assert spoken.spans
            for start, end in spoken.spans:
                assert at <= start < end <= len(text)
                assert text[start:end] == text[start:end].strip() != ""
                at = end
            assert spoken.text == " ".join(" ".join(text[start:end].split()) for start, end in spoken.spans)
    firsts = [exchange[0].spans[0] for exchange in found]
    assert firsts == sorted(set(firsts)), "each begins behind the one before"


NOVEL = '"Yes," said Anna.\n\n"No," said Paul.\n\n'
PLAY = "AB. Hello there.\nCD. So it is.\n"
ENDLESS = {
    "a line of capitals": NOVEL * 50 + "A" * 300_000,
    "a line of letters behind a label": "Ham. Hello there.\nOph. So it is.\n" * 1500 + "Ham. " + "a" * 300_000,
    "capitals in lines of 70": ("A" * 70 + "\n") * 4_000,
    "labels without an end": NOVEL * 50 + ("Aa" * 30 + "!:\n") * 4_000,
    "AND and blanks": PLAY * 1500 + "ABC AND D" + " " * 300_000 + "x",
    "marks that close nothing": NOVEL * 50 + '"Aaa." ' + 'a" ' * 200_000,
    "blanks behind a dash": "— Oui, dit-il.\n\n— Non.\n\n" * 1500 + "— Aaa" + " " * 300_000 + "x",
    "my dear my dear": NOVEL * 50 + f'"Go, {"my dear " * 60}."\n\n"No, {"old dear " * 60}!"',
    "one speaker alone": PLAY * 1500 + "AB. So it is.\n" * 30_000,
    "brackets never closed": PLAY * 1500 + "[(_" * 100_000,
    "names without a verb": NOVEL * 50 + f'{"Sir Aa " * 30}, "No."\n\n' * 400,
    "nothing but blanks": " " * 300_000,
    "nothing but empty lines": "\n" * 300_000,
    "nothing but marks": '"' * 300_000 + "‘" * 300_000 + "«" * 300_000,
    "marks within marks": "“‘" * 100_000 + "a,” " * 100,
}
"""On most of these an earlier version took minutes, or did not end."""


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_it_ends(text: str) -> None:
    found = exchanges(text)
    assert (len(found) >= 1) == (NOVEL in text or "So it is" in text or "dit-il" in text)
