"""The flags are frozen: what a user may type, as when somebody last thought about it.

A new or changed flag shows as a difference in tests/flags.txt; `python tests/test_flags.py` writes it anew, after you
thought about whether it should not be a setting instead.
"""

from __future__ import annotations

from pathlib import Path

from coldframe.cli import flags

FLAGS = Path(__file__).parent / "flags.txt"


def as_text() -> str:
    """Every verb and its flags, one verb a line."""
    return "".join(f"{verb}: {' '.join(names)}\n" for verb, names in sorted(flags().items()))


def test_flags_are_frozen() -> None:
    """Nothing was added, renamed or lost."""
    assert as_text() == FLAGS.read_text(encoding="utf-8")


if __name__ == "__main__":
    FLAGS.write_text(as_text(), encoding="utf-8")
