"""The tokenizer: lossless, checked on disk, and the same in Hugging Face's package."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.errors import SettingsError, TokenizerError
from coldframe.tokens.tokenizer import PATTERN, SMALLEST, SPECIALS, Tokenizer

ODD_TEXTS = (
    "",
    "a\n\n\n b  \t c",
    "1 22 333 4444 3.14",
    "don't I'LL we've ſ 'ſ",
    "中文，日本語。 العربية हिन्दी 🌱👩‍🌾",
    "<|bos|> <|end|><|user|>",
    "x\r\ny\rz",
    "\u00a0\u3000\u2028 tail ",
)


@given(text=st.text())
def test_nothing_is_lost(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert int(tokenizer.token_bytes[ids].sum()) == len(text.encode())
    assert tokenizer.encode_array(text).tolist() == ids


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_text(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.lists(st.sampled_from([*SPECIALS, "<|", "|>", "bos", " ", "a"])).map("".join))
def test_text_never_becomes_a_special_token(tokenizer, text):
    assert not set(tokenizer.encode(text)) & set(tokenizer.specials.values())


def test_specials_stand_at_the_end(tokenizer):
    first = tokenizer.vocab_size - len(SPECIALS)
    assert tokenizer.specials == {name: first + number for number, name in enumerate(SPECIALS)}
    assert tokenizer.bos == first
    assert tokenizer.token_bytes[first:].tolist() == [0] * len(SPECIALS)
    assert tokenizer.decode([tokenizer.bos]) == "<|bos|>"


def test_digits_are_grouped_by_two_at_most(tokenizer):
    trained = Tokenizer.train(["1234567890 " * 200], 400)
    assert all(len(trained.decode([token])) <= 2 for token in trained.encode("1234567890"))


def test_training_is_repeatable(tokenizer, make_text):
    again = Tokenizer.train([make_text(seed) for seed in range(5)], 600)
    assert again.sha256 == tokenizer.sha256


def test_too_little_text_gives_a_smaller_vocabulary_and_says_so(caplog):
    with caplog.at_level(logging.WARNING, "coldframe"):
        small = Tokenizer.train(["abc abc abc"], 1000)
    assert SMALLEST < small.vocab_size < 300
    assert f"vocabulary of {small.vocab_size} tokens only, not the 1000" in caplog.text
    assert small.decode(small.encode("anything: é")) == "anything: é"
    assert Tokenizer.train([], 1000).vocab_size == SMALLEST


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(SettingsError, match="263 is too small"):
        Tokenizer.train(["abc"], 263)


@pytest.mark.parametrize("blank", [" ", "\t", "\u3000", " \t"])
def test_endless_white_space(tokenizer, blank):
    text = "start" + blank * 700_000 + "end"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert Tokenizer.train([text], 300).vocab_size >= SMALLEST


def test_lone_surrogates_are_replaced(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"


def test_half_a_character_decodes_to_a_mark(tokenizer):
    ids = tokenizer.encode("é")
    assert tokenizer.decode_bytes(ids) == "é".encode()
    assert "\ufffd" in tokenizer.decode(ids[:1] if len(ids) > 1 else [0xC3])


@pytest.mark.parametrize("token", [10**6, -1, 2**40])
def test_unknown_ids_are_refused(tokenizer, token):
    with pytest.raises(TokenizerError, match="outside the vocabulary"):
        tokenizer.decode([token])


def test_threads_share_it(tokenizer, make_text):
    text = make_text(9)
    expected = tokenizer.encode(text)
    with ThreadPoolExecutor(4) as pool:
        assert all(ids == expected for ids in pool.map(tokenizer.encode, [text] * 50))


def test_save_and_load(tokenizer, tmp_path):
    path = tmp_path / "deep" / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert (loaded.sha256, loaded.vocab_size, loaded.specials) == (
        tokenizer.sha256,
        tokenizer.vocab_size,
        tokenizer.specials,
    )
    assert np.array_equal(loaded.boundary, tokenizer.boundary)
    record = json.loads(path.read_text())
    assert record["pattern"] == PATTERN
    assert record["sha256"] == tokenizer.sha256
    assert [file.name for file in path.parent.iterdir()] == ["tokenizer.json"]


def test_loading_what_is_not_a_whole_tokenizer(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(TokenizerError, match="there is no tokenizer at"):
        Tokenizer.load(path)
    tokenizer.save(path)
    whole = path.read_text()
    record = json.loads(whole)
    for text, words in [
        (whole[:500], "cannot be read"),
        ("[]", "is not a coldframe tokenizer"),
        (json.dumps({**record, "version": 99}), "version 99"),
        (json.dumps({**record, "tokens": record["tokens"][:-1]}), "was altered: expected sha256"),
        (json.dumps({key: value for key, value in record.items() if key != "sha256"}), "was altered"),
    ]:
        path.write_text(text)
        with pytest.raises(TokenizerError, match=words) as caught:
            Tokenizer.load(path)
        assert caught.value.advice


@pytest.mark.parametrize("size", [300, 600])
def test_hugging_face_encodes_the_same(size, tmp_path, make_text):
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is for this test only")
    ours = Tokenizer.train([make_text(seed) for seed in range(5)], size)
    ours.export_hf(tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.get_vocab_size() == ours.vocab_size
    assert {name: theirs.token_to_id(name) for name in SPECIALS} == ours.specials
    for text in [*(text for text in ODD_TEXTS if "<|" not in text), make_text(77)]:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ids == ours.encode(text)
        assert theirs.decode(ids) == text


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("word", 0),
        (" word", 0),
        ("12", 0),
        (' "', 0),
        ("(", 0),
        (",", 1),
        (";", 1),
        (")", 1),
        ("  ", 1),
        ("\n", 2),
        (",\n", 2),
        ("\n    ", 2),
        (".", 3),
        ("?!", 3),
        ('."', 3),
        (".)", 3),
        ("!”", 3),
        (".\n", 3),
        ('."\n', 3),
        (".“", 3),
        ("。", 3),
        ("｡", 3),
        ("。」", 3),
        ("。』", 3),
        ("！」", 3),
        ("？）", 3),
        ("。」\n", 3),
        ("。“", 0),
        ("」", 1),
        ("、", 1),
        ("।", 3),
        (" ॥", 3),
        ("।\n", 3),
        ("؟", 3),
        ("۔", 3),
        ("،", 1),
        ("։", 3),
        ("።", 3),
        ("။", 3),
        ("។", 3),
        ("\n\n", 4),
        (".\n\n", 4),
        ("\r\n\r\n", 4),
        ("\n\n\n", 4),
    ],
)
def test_what_ends_after_a_token(text, boundary):
    # A vocabulary in which this text is a token of its own.
    tokens = [bytes([byte]) for byte in range(256)]
    if len(text.encode()) > 1:
        tokens.append(text.encode())
    made = Tokenizer(tokens)
    number = tokens.index(text.encode())
    assert made.boundary[number] == boundary


def test_a_vocabulary_without_all_bytes_is_refused():
    with pytest.raises(TokenizerError, match="lacks one of the 256 bytes"):
        Tokenizer([b"a", b"b"])


def test_a_turn_ends_as_strongly_as_a_paragraph(tokenizer):
    assert tokenizer.boundary[tokenizer.specials["<|end|>"]] == 4
    assert tokenizer.boundary[tokenizer.bos] == 0
