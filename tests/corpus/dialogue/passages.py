"""Passages of novels and plays for these tests, and what is said in them."""

from __future__ import annotations

from coldframe.corpus.dialogue.exchanges import GAP, exchanges

MILL = (
    ("Is it far to the mill?", "asked Anna"),
    ("Two miles by the road, and one across the fields,", "said the miller"),
    ("Then we'll take the fields,", "said Anna"),
    ("'Tis wet there, and the boys' boots are thin,", "he said"),
    ("We are goin' to get wet anyhow,", "she answered"),
)
"""Of each turn what is spoken, and whose it is; with every apostrophe that is none of speech's marks."""
SPOKEN = [words for words, _ in MILL]
NARRATION = "He went to the window and looked out at the rain, which fell on the garden for a while. "


def mill(opener: str = '"', closer: str = '"', apart: str = "\n\n") -> str:
    """The talk at the mill in these marks, with this between paragraphs."""
    return apart.join(f"{opener}{words}{closer} {tag}." for words, tag in MILL)


def talk(text: str, gap: int = GAP) -> list[list[str]]:
    """The conversations in a text, as what is said."""
    return [[spoken.text for spoken in exchange] for exchange in exchanges(text, gap)]
