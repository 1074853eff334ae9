"""Who speaks is read from what stands beside speech, and what cannot be known is not guessed."""

from __future__ import annotations

import pytest

from coldframe.corpus.dialogue.cues import Cue, compare, find_cue, learn_genders
from coldframe.corpus.dialogue.marks import Style, speech_in

STRAIGHT = Style("straight", '"', '"')


def cue_of(paragraph: str) -> Cue | None:
    """What a paragraph tells of its speaker."""
    return find_cue(paragraph, 0, len(paragraph), speech_in(paragraph, 0, len(paragraph), STRAIGHT).spans)


def named(name: str, gender: str = "") -> Cue:
    return Cue("name", tuple(name.lower().split()), gender, True, "said")


def noun(words: str, gender: str = "") -> Cue:
    return Cue("noun", tuple(words.split()), gender, True, "said")


def pronoun(word: str) -> Cue:
    return Cue("pronoun", (word,), word if word in ("he", "she") else "", True, "said")


@pytest.mark.parametrize(
    ("paragraph", "kind", "words", "gender"),
    [
        ('"Is it far?" asked Anna.', "name", "anna", ""),
        ('"It is," said Mr. Bennet.', "name", "mr bennet", "he"),
        ('"It is," replied Mrs. Van Dyke, and sat down.', "name", "mrs van dyke", "she"),
        ('"It is," said J. Watson.', "name", "j watson", ""),
        ('"It is," said the old miller, and sat down.', "noun", "old miller", ""),
        ('"It is," he said.', "pronoun", "he", "he"),
        ('"It is," said I.', "pronoun", "i", ""),
        ('"It is," said the miller and sat down.', "noun", "miller", ""),
        ('"It is," they said.', "pronoun", "they", ""),
        ('"It is," and she answered slowly.', "pronoun", "she", "she"),
        ('"It is," Anna at once replied.', "name", "anna", ""),
        ('"It is," her brother went on.', "noun", "brother", "he"),
        ('"Well," put in Anna’s mother, "it is."', "name", "anna", ""),
        ('Then Anna said, "It is."', "name", "anna", ""),
        ('It rained. The miller sighed: "It is."', "noun", "miller", ""),
        ('"It is." It rained.', "pronoun", "it", ""),
        ('"It is."', "", "", ""),
        ('"It is," said no one at all.', "", "", ""),
        ('"It is," said Nothing.', "", "", ""),
    ],
)
def test_said_and_by_whom(paragraph: str, kind: str, words: str, gender: str) -> None:
    cue = cue_of(paragraph)
    found = (cue.kind, " ".join(cue.words), cue.gender) if cue else ("", "", "")
    assert found == (kind, words, gender)


@pytest.mark.parametrize(
    ("paragraph", "name"), [('Anna shook her head. "No."', "anna"), ('"No." Anna shook her head.', "anna")]
)
def test_who_acts_beside_speech_is_a_weaker_sign(paragraph: str, name: str) -> None:
    cue = cue_of(paragraph)
    assert cue and cue.words == (name,) and not cue.said
    tagged = cue_of(paragraph.replace('"No."', '"No," said Paul.'))
    assert tagged and tagged.words == ("paul",) and tagged.said, "a tag goes before it"


def test_the_first_tag_of_a_turn_counts() -> None:
    cue = cue_of('"No," said Anna. "I asked Paul," Paul said he knew.')
    assert cue and cue.words == ("anna",)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (named("Anna"), named("Anna"), "same_name"),
        (named("Anna"), named("Paul"), "two_speakers"),
        (named("Mr Bennet", "he"), named("Bennet"), "same_name"),
        (named("Mr Bennet", "he"), named("Mrs Bennet", "she"), "two_speakers"),
        (named("Mr Bennet", "he"), named("Mr Darcy", "he"), "two_speakers"),
        (noun("miller"), noun("miller"), "same_name"),
        (noun("miller"), noun("baker"), ""),
        (pronoun("he"), pronoun("he"), "same_pronoun"),
        (pronoun("he"), pronoun("she"), "two_speakers"),
        (pronoun("i"), named("Anna"), "two_speakers"),
        (named("Mrs Bennet", "she"), pronoun("she"), "same_gender"),
        (named("Mrs Bennet", "she"), pronoun("he"), "two_speakers"),
        (named("Anna"), pronoun("she"), "same_gender"),
        (named("Anna"), pronoun("he"), "two_speakers"),
        (named("Robin"), pronoun("he"), ""),
        (noun("man", "he"), pronoun("he"), "same_gender"),
        (named("Anna"), None, ""),
        (None, None, ""),
    ],
)
def test_one_speaker_or_two(one: Cue | None, two: Cue | None, same: str) -> None:
    genders = {"anna": "she"}
    assert compare(one, two, genders) == compare(two, one, genders) == same


def test_a_book_shows_who_is_a_she() -> None:
    text = (
        "Anna took her hat. Anna knew that she was late. Anna said it to herself. Paul lost his way. Paul knew that he "
        "was late. Paul said it to himself. Robin took his hat. Robin took her coat. Robin took his own. Robin slept."
    )
    names = [named(name) for name in ("Anna", "Paul", "Robin", "Nobody")]
    assert learn_genders(text, [*names, None]) == {"anna": "she", "paul": "he"}
    assert learn_genders(text, [None, pronoun("he")]) == {}
    assert learn_genders(text, [named("Mrs Anna", "she")]) == {}, "whose title tells it needs no votes"
    once = "Anna took her hat."
    assert learn_genders(once, names) == {}, "one sentence shows nothing"
