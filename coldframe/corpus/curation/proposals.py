"""What a corpus lacks, and what could be added: from texts that are offered, from talk in the books that are there, and
from well-known public sets. Add good rather than remove bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coldframe.corpus.curation.balance import MOST_EPOCHS
from coldframe.corpus.curation.sampling import Sample
from coldframe.corpus.curation.topics import Map
from coldframe.corpus.dialogue.exchanges import GAP, exchanges
from coldframe.corpus.filters.rules import REFERENCE, TALK
from coldframe.corpus.filters.texts import Floats

LEAST_TALK, LEAST_REFERENCE, MOST_OF_ONE = 0.1, 0.05, 0.8
"""Shares of all tokens: of talk and of explaining text at least, of one source at most."""
_THIN = 0.5
"""A topic is thin when it has less than this part of an equal share."""
_FEW_WORDS = 0.004
"""Spoken words for each word of a book below which its talk is not worth taking out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something of which there is too little or too much."""

    name: str
    gap: str
    found: float
    wanted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Text that could be added."""

    name: str
    kind: str
    path: str
    """A file or folder, or the name of a public set."""
    tokens: int
    quality: float | None
    measured: bool
    """Whether it was read here, or is only known by name."""
    topics: Floats | None = None
    """Which part of it belongs to each topic of the corpus."""
    dialogue: int | None = None
    """It is the talk in books, with this gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A source to add."""

    number: int
    name: str
    kind: str
    path: str
    tokens: int
    epochs: float | None
    quality: float | None
    fills: str
    measured: bool
    dialogue: int | None = None


KNOWN = (
    Candidate(name="smoltalk", kind="chat", path="HuggingFaceTB/smoltalk", tokens=800_000_000, quality=None,
              measured=False),
    Candidate(name="dolly", kind="question-answer", path="databricks/databricks-dolly-15k", tokens=3_000_000,
              quality=None, measured=False),
    Candidate(name="fineweb-edu", kind="prose", path="HuggingFaceFW/fineweb-edu", tokens=1_300_000_000_000,
              quality=None, measured=False),
    Candidate(name="wikipedia", kind="encyclopedia", path="wikimedia/wikipedia", tokens=4_000_000_000, quality=None,
              measured=False),
)  # fmt: skip
"""Public sets on the Hugging Face hub, with about how many tokens they are said to have."""


def find_gaps(sample: Sample, tokens: Sequence[int], topics: Map, training_tokens: float | None) -> list[Gap]:
    """What is too little or too much, the largest first."""
    total = max(1, sum(tokens))
    of_kind = {kind: sum(n for n, k in zip(tokens, sample.kinds, strict=True) if k == kind) for kind in sample.kinds}
    talk = sum(of_kind.get(kind, 0) for kind in TALK) / total
    reference = sum(of_kind.get(kind, 0) for kind in REFERENCE) / total
    gaps = []
    if training_tokens and training_tokens / total > MOST_EPOCHS:
        gaps.append(Gap(
            name="text", found=round(training_tokens / total, 1), wanted=MOST_EPOCHS,
            gap="too little text: all of it would be read more often than repetition is worth",
        ))  # fmt: skip
    if talk < LEAST_TALK:
        gaps.append(
            Gap(
                name="talk",
                gap="hardly any conversation to learn talking from",
                found=round(talk, 4),
                wanted=LEAST_TALK,
            )
        )
    if reference < LEAST_REFERENCE:
        gaps.append(Gap(
            name="reference", gap="hardly any text that explains things",
            found=round(reference, 4), wanted=LEAST_REFERENCE,
        ))  # fmt: skip
    largest = max(range(len(tokens)), key=lambda at: tokens[at])
    if len(tokens) > 1 and tokens[largest] / total > MOST_OF_ONE:
        gaps.append(Gap(
            name="one-source", gap=f"nearly all of it is {sample.names[largest]}",
            found=round(tokens[largest] / total, 4), wanted=MOST_OF_ONE,
        ))  # fmt: skip
    thin = thin_topics(topics)
    if len(thin):
        words = "; ".join(", ".join(topics.topics[at].words[:3]) for at in thin[:4])
        gaps.append(Gap(
            name="topics", gap=f"{len(thin)} of {len(topics.topics)} topics are thin ({words})",
            found=round(topics.effective, 1), wanted=float(len(topics.topics)),
        ))  # fmt: skip
    return gaps


def thin_topics(topics: Map) -> list[int]:
    """The topics with less than half of an equal share."""
    equal = 1 / max(1, len(topics.topics))
    return [at for at, topic in enumerate(topics.topics) if topic.share < _THIN * equal]


def talk_in_books(sample: Sample, paths: Sequence[Path], bytes_per_token: float) -> list[Candidate]:
    """The conversations in prose that is there already, estimated on the passages of the sample."""
    found = []
    for number, (name, kind) in enumerate(zip(sample.names, sample.kinds, strict=True)):
        texts = [passage.text for passage in sample.passages if passage.source == number]
        if kind != "prose" or not texts:
            continue
        spoken = sum(len(turn.text.encode()) for text in texts for exchange in exchanges(text) for turn in exchange)
        share = spoken / max(1, sum(len(text.encode()) for text in texts))
        if share > _FEW_WORDS:
            found.append(Candidate(
                name=f"{name}-talk", kind="dialogue", path=str(paths[number]), dialogue=GAP,
                tokens=int(share * sample.kept_bytes[number] / bytes_per_token), quality=None, measured=True,
            ))  # fmt: skip
    return found


def propose(
    gaps: Sequence[Gap], candidates: Sequence[Candidate], topics: Map, tokens: int, training_tokens: float | None
) -> list[Proposal]:
    """What to add, those first that fill most: measured ones, and known ones only where none of those fills a gap."""
    proposals: list[Proposal] = []
    filled: set[str] = set()
    for candidate in sorted(candidates, key=lambda one: (not one.measured, -(one.quality or 0.0))):
        fills = [gap for gap in gaps if _fills(gap, candidate, topics, tokens)]
        if not fills or (not candidate.measured and not {gap.name for gap in fills} - filled):
            continue
        if candidate.measured and candidate.tokens:
            filled |= {gap.name for gap in fills}
        epochs = training_tokens / (tokens + candidate.tokens) if training_tokens else None
        proposals.append(Proposal(
            number=len(proposals) + 1, name=candidate.name, kind=candidate.kind, path=candidate.path,
            tokens=candidate.tokens, epochs=round(epochs, 2) if epochs else None, quality=candidate.quality,
            fills="; ".join(gap.gap for gap in fills), measured=candidate.measured, dialogue=candidate.dialogue,
        ))  # fmt: skip
    return proposals


def _fills(gap: Gap, candidate: Candidate, topics: Map, tokens: int) -> bool:
    if gap.name == "talk":
        return candidate.kind in TALK
    if gap.name == "reference":
        return candidate.kind in REFERENCE
    if gap.name in ("text", "one-source"):
        return candidate.tokens > 0.01 * tokens and candidate.dialogue is None
    thin = thin_topics(topics)
    return candidate.topics is not None and float(np.sum(candidate.topics[thin])) > 2 * sum(
        topics.topics[at].share for at in thin
    )
