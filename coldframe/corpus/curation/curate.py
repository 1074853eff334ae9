"""A corpus looked at from all sides: quality, topics, styles, balance, what it lacks, and what to add."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coldframe.corpus.curation.balance import Balance, balance
from coldframe.corpus.curation.proposals import (
    KNOWN,
    Candidate,
    Gap,
    Proposal,
    find_gaps,
    propose,
    talk_in_books,
)
from coldframe.corpus.curation.quality import Quality, score
from coldframe.corpus.curation.sampling import Sample, take_sample
from coldframe.corpus.curation.styles import styles
from coldframe.corpus.curation.topics import Map, draw_map
from coldframe.corpus.store import QUALITY, read_manifest
from coldframe.errors import CorpusError
from coldframe.run.durable import write_whole

BYTES_PER_TOKEN = 4.0
"""Of English text and a vocabulary of tens of thousands, where no tokenizer is there to tell."""
_EXAMPLES, _EXCERPT = 3, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Curation:
    """What was seen."""

    sample: Sample
    quality: Quality
    map: Map
    styles: list[dict[str, str | float]]
    balance: list[Balance]
    gaps: list[Gap]
    proposals: list[Proposal]

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "sample": {
                "documents": len(self.sample.passages),
                "bytes": sum(len(text.encode()) for text in self.sample.texts),
            },
            "topics": [dataclasses.asdict(topic) for topic in self.map.topics],
            "effective_topics": round(self.map.effective, 2),
            "styles": self.styles,
            "quality": quality_by_source(self.sample, self.quality),
            "balance": [dataclasses.asdict(line) for line in self.balance],
            "gaps": [dataclasses.asdict(gap) for gap in self.gaps],
            "proposals": [dataclasses.asdict(proposal) for proposal in self.proposals],
        }


def curate(
    folders: Sequence[Path],
    candidates: Sequence[Path] = (),
    *,
    training_tokens: float | None = None,
    told: Callable[[str], None] = lambda what: None,
) -> Curation:
    """Look at folders of documents, and at others that could be added; writes each folder's quality beside it.

    Raises:
        CorpusError: for a folder that is none, or of which nothing is kept.
    """
    told("taking a sample")
    sample = take_sample([*folders, *candidates])
    twice = [name for name, count in Counter(sample.names).items() if count > 1]
    if twice:
        raise CorpusError(
            f"two folders hold a source named {twice[0]!r}", advice="ingest one of them again with another --name"
        )
    for number, kept in enumerate(sample.kept_bytes):
        if not kept:
            raise CorpusError(
                f"nothing is kept of the source {sample.names[number]!r}",
                advice="coldframe corpus report shows why; leave it out, or change its limits",
            )
    told("judging its quality")
    quality = score(sample)
    by_source = quality_by_source(sample, quality)
    for folder in (*folders, *candidates):
        name = str(read_manifest(folder).source["name"])
        write_whole(folder / QUALITY, json.dumps(by_source[name], ensure_ascii=False, indent=1).encode())
    own = _part(sample, range(len(folders)))
    told("drawing the map of topics")
    topics = draw_map(own)
    tokens = [int(size / BYTES_PER_TOKEN) for size in own.kept_bytes]
    medians = [by_source[name]["median"] for name in sample.names]
    gaps = find_gaps(own, tokens, topics, training_tokens)
    told("looking for what could be added")
    offered = [
        Candidate(
            name=sample.names[number],
            kind=sample.kinds[number],
            path=str(path),
            tokens=int(sample.kept_bytes[number] / BYTES_PER_TOKEN),
            quality=medians[number],
            measured=True,
            topics=topics.shares_of([p.text for p in sample.passages if p.source == number]),
        )
        for number, path in enumerate(candidates, len(folders))
    ]
    offered += talk_in_books(own, folders, BYTES_PER_TOKEN)
    return Curation(
        sample=own,
        quality=Quality(*(values[: len(own.passages)] for values in (quality.scores, quality.surprise, quality.saved))),
        map=topics,
        styles=styles(own),
        balance=balance(own.names, tokens, medians[: len(folders)], training_tokens),
        gaps=gaps,
        proposals=propose(gaps, [*offered, *KNOWN], topics, sum(tokens), training_tokens),
    )


def quality_by_source(sample: Sample, quality: Quality) -> dict[str, dict[str, Any]]:
    """Source -> its median, the tenth below and above, and the worst to look at."""
    found = {}
    for number, name in enumerate(sample.names):
        mine = [at for at, passage in enumerate(sample.passages) if passage.source == number]
        low, median, high = np.quantile(quality.scores[mine], [0.1, 0.5, 0.9]) if mine else (0.0, 0.0, 0.0)
        worst = sorted(mine, key=lambda at: quality.scores[at])[:_EXAMPLES]
        found[name] = {
            "median": round(float(median), 1),
            "low": round(float(low), 1),
            "high": round(float(high), 1),
            "examples": [
                (round(float(quality.scores[at]), 1), sample.passages[at].place, sample.passages[at].text[:_EXCERPT])
                for at in worst
            ],
        }
    return found


def _part(sample: Sample, sources: range) -> Sample:
    """The first sources of a sample."""
    last = len(sources)
    return Sample(
        sample.manifests[:last],
        tuple(passage for passage in sample.passages if passage.source < last),
        sample.kept_bytes[:last],
    )
