"""Contrast of every pair of colours that the pages put on each other, light and dark: WCAG AA."""

from __future__ import annotations

import re

import pytest

from coldframe.explore.pages import STATIC

CSS = (STATIC / "style.css").read_text()
COLOURS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)", CSS)}
WORDS = ("ink", "soft", "accent", "well", "watch", "critical")
GROUNDS = ("paper", "panel", "sunken")
SERIES = tuple(name for name in COLOURS if name.startswith("series"))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_and_curves_stand_out(scheme: int) -> None:
    for word in WORDS:
        for ground in GROUNDS:
            assert _contrast(COLOURS[word][scheme], COLOURS[ground][scheme]) >= 4.5, f"{word} on {ground}"
    assert _contrast(COLOURS["on-accent"][scheme], COLOURS["accent"][scheme]) >= 4.5
    assert len(SERIES) == 6
    for line in (*SERIES, "edge"):
        assert _contrast(COLOURS[line][scheme], COLOURS["paper"][scheme]) >= 3, line


def test_every_variable_that_is_used_is_defined_and_colours_are_written_once() -> None:
    used, defined = set(re.findall(r"var\(--([\w-]+)", CSS)), set(re.findall(r"--([\w-]+):", CSS))
    assert used <= defined
    outside = CSS[CSS.index('[data-theme="dark"]') :]
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", outside)) <= {"#0008", "#0000002b", "#fff"}  # shadows and print
