"""What is held out follows from the text alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.tokens.holdout import PASSAGE, cut_passages, hold_out_below, text_hash
from coldframe.tokens.sentences import last_sentence_end


def test_a_long_text_is_cut_at_paragraphs(make_text):
    text = make_text(1, 3000)
    passages = cut_passages(text)
    assert "".join(passages) == text
    assert len(passages) > 5
    assert all(passage.endswith("\n\n") for passage in passages[:-1])
    assert all(PASSAGE // 2 <= len(passage) <= PASSAGE for passage in passages[:-1])
    assert len(passages[-1]) <= PASSAGE * 3 // 2


def test_without_paragraphs_at_sentences_and_without_those_at_words(make_text):
    text = make_text(2, 3000).replace("\n\n", " ")
    assert all(passage.rstrip('"').endswith((".", "!", "?")) for passage in cut_passages(text)[:-1])
    words = text.replace(".", "").replace("!", "").replace("?", "")
    assert all(passage.startswith(" ") for passage in cut_passages(words)[1:])


@pytest.mark.parametrize(
    ("sentence", "end"),
    [
        ("他打开冷床的玻璃，看见种子已经发芽。", "。"),
        ("彼は「種はもう芽を出した。」『水をやろう。』と言った！」", ("。」", "。』", "！」")),
        ("ｶﾚﾊ ﾀﾈｦ ﾏｲﾀ｡", "｡"),
        ("उसने काँच खोला और बीज देखे । ", "।"),
        ("कर्मण्येवाधिकारस्ते मा फलेषु कदाचन॥", "॥"),
        ("ہم نے بیج بوئے اور پانی دیا۔ ", "۔"),
        ("هل نبتت البذور في الصباح؟ ", "؟"),
        ("Սերմերը ծլեցին առավոտյան։ ", "։"),
        ("ዘሩ በጠዋት በቀለ። ", "።"),
        ("„Die Saat geht auf.“ ", ".“"),
    ],
)
def test_sentences_of_other_scripts_are_not_cut_through(sentence, end):
    text = sentence * (PASSAGE * 3 // len(sentence))
    passages = cut_passages(text)
    assert "".join(passages) == text
    assert len(passages) > 2
    assert all(passage.endswith(end) for passage in passages[:-1])


def test_a_closing_quote_stays_with_its_sentence_at_the_edge_of_what_is_looked_at():
    for before in range(40):
        text = "字" * 9000 + "。" + "字" * (PASSAGE - 9020 + before) + "。」" + "字" * PASSAGE
        assert cut_passages(text)[0].endswith("字。」" if before < 18 else "字。")


def test_a_mark_within_a_number_or_a_name_is_no_end():
    for within in ("3.14159", "node.js", "３．１４", "یو۔ایس"):
        assert last_sentence_end(f"x{within}x", 0, 20) is None
        assert last_sentence_end(f"x {within}. x", 0, 20) == len(within) + 3


@given(
    st.lists(
        st.sampled_from(["word", " ", ".", "\n", "\n\n", "x" * 5000, '." ', "\u3000", "é", "。", "」", "字", "।", "“"]),
        max_size=200,
    )
)
def test_passages_join_to_the_text(parts):
    text = "".join(parts)
    passages = cut_passages(text)
    assert "".join(passages) == text
    assert all(len(passage) <= PASSAGE * 3 // 2 for passage in passages)


def test_cutting_does_not_change_the_tokens(tokenizer, make_text):
    for text in (make_text(3, 2000), make_text(3, 2000).replace("\n\n", " ")):
        joined = [token for passage in cut_passages(text) for token in tokenizer.encode(passage)]
        assert joined == tokenizer.encode(text)


def test_about_the_share_is_held_out():
    texts = [f"document {number}" for number in range(20_000)]
    bound = hold_out_below(texts, 0.02)
    held = sum(text_hash(text) < bound for text in texts)
    assert 300 < held < 500


def sides(texts, share=0.02):
    bound = hold_out_below(texts, share)
    return {text: text_hash(text) < bound for text in texts}


def test_a_small_source_gives_up_exactly_one_text():
    for start in range(50):
        texts = [f"text {start * 10 + number}" for number in range(5)]
        assert 1 <= sum(sides(texts).values()) < 5


@pytest.mark.parametrize("texts", [[], ["only one"], ["the same", "the same", "the same"]])
def test_a_source_of_one_text_gives_up_none(texts):
    assert not any(sides(texts).values())


def test_nothing_is_held_out_of_a_share_of_zero():
    assert hold_out_below(["a", "b"], 0.0) == 0


def test_everything_selected_leaves_something_to_learn():
    assert sum(sides(["a", "b", "c"], share=0.999999).values()) in (1, 2)


@given(st.sets(st.integers(), min_size=2, max_size=60), st.randoms())
def test_a_growing_source_moves_no_text_from_training_to_validation(numbers, rng):
    texts = [f"text {number}" for number in sorted(numbers)]
    before = sides(rng.sample(texts, rng.randint(1, len(texts))))
    rng.shuffle(texts)
    after = sides(texts)
    # With one text there is no validation yet; it may be the one that is given up when a second comes.
    if len(before) > 1:
        assert not [text for text, held in before.items() if after[text] and not held]


def test_the_order_of_the_texts_does_not_matter():
    texts = [f"text {number}" for number in range(100)]
    shuffled = random.Random(1).sample(texts, len(texts))
    assert sides(texts) == sides(shuffled)
