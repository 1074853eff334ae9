"""How far two turns are apart: what stands between them, and what speaks for one speaker or for two."""

from __future__ import annotations

import pytest

from coldframe.corpus.dialogue.links import FAR, POINTS, distances, genders_of
from coldframe.corpus.dialogue.marks import Style
from coldframe.corpus.dialogue.paragraphs import paragraphs_of
from coldframe.corpus.dialogue.turns import turns_of
from tests.corpus.dialogue.passages import NARRATION

STRAIGHT = Style("straight", '"', '"')


def apart(*paragraphs: str) -> list[int]:
    """From each turn to the next."""
    text = "\n\n".join(paragraphs)
    found = paragraphs_of(text)
    turns = turns_of(text, found, STRAIGHT)
    return distances(text, found, turns, genders_of(text, turns))


def test_turns_without_a_tag_stand_side_by_side() -> None:
    assert apart('"It is late."', '"It is not."') == [0]


@pytest.mark.parametrize("tag", ["said Anna.", "he answered.", "Anna said.", "said the old miller."])
def test_a_tag_is_no_narration(tag: str) -> None:
    assert apart(f'"It is late," {tag}', '"It is not."') == [len(".")]


def test_narration_lengthens_the_distance() -> None:
    one, two = '"It is late."', '"It is not."'
    narration = NARRATION.strip()
    assert apart(one, narration, two) == [len(narration) + POINTS["paragraph"]]
    assert apart(one, narration, narration, two) == [2 * len(narration) + POINTS["paragraph"]]
    assert apart(f"{one} {narration}", two) == [len(narration)]
    assert apart(one, f"{narration} {two}") == [len(narration) + 1 + POINTS["lead"]]
    assert apart(f'{one[:-2]}," said Anna. {narration}', two) == [len(narration) + 2], "what stands behind a tag"


@pytest.mark.parametrize(
    ("one", "two", "signs"),
    [
        ('"Is it late?"', '"It is not."', ["question"]),
        ('"It is late," he said.', '"It is not," he said.', ["same_pronoun"]),
        ('"It is late," he said.', '"It is not," she said.', ["two_speakers"]),
        ('"It is late," said Anna.', '"It is not," said Paul.', ["two_speakers"]),
        ('"It is late," said Mr. Bennet.', '"It is not," he said.', ["same_gender"]),
        ('"It is late, sir."', '"It is not, sir."', ["same_address"]),
        ('"It is late, Paul," she said.', '"It is not," said Paul.', ["addressed"]),
        ('"It is late," said Paul.', '"It is not, Paul."', ["addressed"]),
    ],
)
def test_signs_of_one_speaker_and_of_two(one: str, two: str, signs: list[str]) -> None:
    full_stop = int(one.endswith("."))  # behind the tag
    assert apart(one, two) == [full_stop + sum(POINTS[sign] for sign in signs)]


def test_who_spoke_before_the_first_turn_answers_it() -> None:
    first, second = '"It is late," said Anna.', '"It is not," said Paul.'
    echo = apart(first, second, '"Go now," said Anna.')[1]
    assert echo == 1 + POINTS["two_speakers"] + POINTS["echo"]
    assert apart(first, second, '"Go now," said Mary.')[1] == 1 + POINTS["two_speakers"]
    assert apart('"It is late," said the old lady.', '"It is not," said the old miller.') == [1]
    assert apart('"It is late," said I.', second, '"Go now," she said.')[1] == 1 + POINTS["third_voice"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('"It is late," said Anna.', '"Go now," said Anna.'),
        ('"It is late," said Mr. Bennet.', '"Go now," said Bennet.'),
        ('"It is late," said the old miller.', '"Go now," said the old miller.'),
        ('"It is late," thought Anna.', '"It is not," said Paul.'),
        ('"it is late."', '"It is not."'),
        ('"It is late"', '"It is not."'),
        ('"Sing,\n   sing of it."', '"It is not."'),
        ('"It is late,"', '"It is not."'),
    ],
)
def test_what_is_never_an_answer(one: str, two: str) -> None:
    """The same speaker, a thought, half a sentence, a word in quotation marks, verse."""
    assert apart(one, two) == [FAR]


def test_a_heading_and_a_chapter_of_narration_are_beyond_every_gap() -> None:
    assert apart('"It is late."', "CHAPTER II", '"It is not."') == [FAR]
    assert apart('"It is late."', *[NARRATION.strip()] * 30, '"It is not."')[0] >= 2_000
    assert apart('"It is late."') == apart("It rained.") == []
