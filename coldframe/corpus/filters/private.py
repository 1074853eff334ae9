"""What should not be learned by heart: keys and passwords, and what leads to a person.

Patterns find shapes, not truth: a number is taken for a card's only when its check digit is right, and addresses that
exist to be shown (example.com) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from coldframe.corpus.filters.texts import Floats, Texts

#: What must stand in a text (in small letters) for the pattern to be looked for -> the pattern.
SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("-----begin", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("akia", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("asia", re.compile(r"\bASIA[0-9A-Z]{16}\b")),
    ("gh", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),
    ("github_pat_", re.compile(r"\bgithub_pat_[A-Za-z0-9_]{50,}\b")),
    ("glpat-", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b")),
    ("xox", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}\b")),
    ("sk-", re.compile(r"\bsk-(?:[a-z]+-)*[A-Za-z0-9_-]{32,}\b")),
    ("sk_live_", re.compile(r"\bsk_live_[A-Za-z0-9]{20,}\b")),
    ("aiza", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("hf_", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("eyj", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)
_EMAIL = re.compile(r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,12}\b")
_SHOWN = re.compile(
    r"@(?:[\w-]+\.)*(?:example|test|invalid|localhost|domain|email|yourdomain|mycompany)\b", re.IGNORECASE
)
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){1,4}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
_DIGITS = re.compile(r"\d\d\d[ .()-]?[\dA-Z]")
"""What nearly every such number holds somewhere; most texts hold none, and are spared four patterns."""
_CARD = re.compile(r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?![\d.-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_SOCIAL = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")


def measure(texts: Texts) -> dict[str, Floats]:
    """How many secrets, and how many details of persons, each text holds [N]."""
    secrets, personal = np.zeros(len(texts)), np.zeros(len(texts))
    for number, text in enumerate(texts.texts):
        secrets[number] = sum(1 for _ in find_secrets(text))
        personal[number] = sum(1 for _ in find_personal(text))
    return {"secrets": secrets, "personal_details": personal}


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """The places [start, end) of what looks like a key."""
    lowered = text.lower()
    for sign, pattern in SECRETS:
        if sign in lowered:
            yield from (match.span() for match in pattern.finditer(text))


def find_personal(text: str) -> Iterator[tuple[int, int]]:
    """The places [start, end) of e-mail addresses, telephone, card, account and social security numbers."""
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text) if not _SHOWN.search(match.group()))
    if not _DIGITS.search(text):
        return
    if "-" in text or "+" in text:
        yield from (match.span() for match in _PHONE.finditer(text))
        yield from (match.span() for match in _SOCIAL.finditer(text))
    yield from (match.span() for match in _CARD.finditer(text) if _is_card(match.group()))
    yield from (match.span() for match in _IBAN.finditer(text) if _is_iban(match.group()))


def _is_card(number: str) -> bool:
    """Whether the check digit is right (Luhn's formula, ISO/IEC 7812-1) and the number is not of one digit."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return len(set(digits)) > 2 and digits[0] in (3, 4, 5, 6) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(number: str) -> bool:
    """Whether the two check digits are right (ISO 13616)."""
    plain = number.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1
