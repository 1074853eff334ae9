"""A tokenizer and text that the tests of this folder share."""

import random

import pytest

from coldframe.tokens.tokenizer import Tokenizer

WORDS = (
    "the frame of glass stood open while seeds took root and light fell upon warm soil where water ran down each pane",
    "of morning frost before any gardener came to lift its lid or read what had grown there over night in rows",
)


def made_up_text(seed: int, sentences: int = 200) -> str:
    """Sentences of common words in paragraphs of eight: text of a kind, the same for the same seed."""
    rng = random.Random(seed)
    words = " ".join(WORDS).split()
    said = [
        " ".join(rng.choices(words, k=rng.randint(4, 14))).capitalize() + rng.choice(".....!?")
        for _ in range(sentences)
    ]
    return "\n\n".join(" ".join(said[at : at + 8]) for at in range(0, sentences, 8)) + "\n"


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A few hundred tokens, learned from made-up text."""
    return Tokenizer.train([made_up_text(seed) for seed in range(5)], 600)


@pytest.fixture(scope="session")
def make_text():
    """`made_up_text`, for tests in modules that cannot import this one."""
    return made_up_text
