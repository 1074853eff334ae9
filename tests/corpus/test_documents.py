"""Clean text and quarantine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.documents import Quarantine, clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("\ufeffstart", "start"),
        ("page\x0cpage", "page\npage"),
        ("a\x00b\x1b[0mc\x7f\x9b", "ab[0mc"),
        ("tab\tstays", "tab\tstays"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("naïve “quotes” 中文 🌱", "naïve “quotes” 中文 🌱"),
    ],
)
def test_clean_text(raw, clean):
    assert clean_text(raw) == clean


@given(st.text(st.characters()))
def test_clean_text_is_stable_and_has_a_utf8_form(text):
    clean = clean_text(text)
    clean.encode("utf-8")
    assert clean_text(clean) == clean
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in clean)


def test_quarantine_counts_all_and_keeps_the_first():
    quarantine = Quarantine(keep=2)
    for number in range(5):
        quarantine.add(f"file:{number}", "is bad")
    assert quarantine.count == 5
    assert quarantine.examples == [("file:0", "is bad"), ("file:1", "is bad")]
    assert "5 quarantined, the first: file:0: is bad" in str(quarantine)
