"""How good a text is, from 0 to 100: the product of four things that can each be looked at.

Fluency: how well each word follows the one before it, by counts of all other texts of the sample (pairs backed by
single words, Witten and Bell 1991). Two things are looked at: how surprising the words are, in bits, and how many bits
are saved by knowing the word before, which words in no order do not. Fluency is 1 within two deviations of the median
of the source's sort of text (talk or not; deviations are of the median, so that a tenth of rubbish does not move them),
and is halved by each deviation beyond: above and below of surprise, below of what is saved. Variety: the share of pairs
of neighbouring words that are new within 256 words, 1 from 0.9 on. Freshness: the share of runs of five words that no
other text of the sample has, so that templates are told however smooth they read. Soundness: how far the text stays
from the filters' limits, the fourth root of what is left of the tightest one.

It tells shuffled, damaged, templated and broken text from good text (docs/corpus.md says how well), not wisdom from
folly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coldframe.corpus.curation.sampling import Sample
from coldframe.corpus.documents import Document
from coldframe.corpus.filters.judging import Criteria, measures
from coldframe.corpus.filters.rules import RULES, TALK
from coldframe.corpus.filters.texts import Floats, Hashes, Ints, Texts, mixed
from coldframe.corpus.signatures import Words, runs_of

_BITS = 24
"""Counts are kept in tables of so many places, by hash."""
_SHORT = 20
"""Words below which nothing is said of fluency and variety."""
_USUAL = 2.0
"""Deviations from the median that are nothing unusual."""
_ENOUGH_VARIETY = 0.9
_RUN = 5
_BATCH = 1 << 20


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the texts of a sample are."""

    scores: Floats
    """0 to 100 [N]"""
    surprise: Floats
    """Bits a word; not a number for texts that are too short [N]."""
    saved: Floats
    """Bits of them that knowing the word before saves; likewise [N]."""


def score(sample: Sample) -> Quality:
    """The quality of every passage."""
    surprise, saved = surprises(sample.texts).T
    fresh = freshness(sample.texts)
    kinds = np.array([sample.kinds[passage.source] in TALK for passage in sample.passages], dtype=bool)
    fluency = np.ones(len(surprise))
    for sort in (False, True):
        of_sort = kinds == sort
        beyond = np.abs(_deviations(surprise[of_sort])), -_deviations(saved[of_sort])
        fluency[of_sort] = np.exp2(-sum(np.maximum(far - _USUAL, 0.0) for far in beyond))
    scores = np.zeros(len(surprise))
    for source, manifest in enumerate(sample.manifests):
        mine = np.flatnonzero([passage.source == source for passage in sample.passages])
        criteria = Criteria(kind=manifest.source["kind"], language=manifest.source["language"])
        texts = [sample.passages[number].text for number in mine]
        for begin, end in _batches(texts):
            chosen = mine[begin:end]
            scores[chosen] = 100 * fluency[chosen] * fresh[chosen] * _variety_and_soundness(texts[begin:end], criteria)
    return Quality(scores, surprise, saved)


def surprises(texts: Sequence[str]) -> Floats:
    """How surprising the words of each text are by the counts of all others, and how much of it knowing the word before
    saves: bits a word [N, 2]."""
    pairs, words, followers = (np.zeros(1 << _BITS, np.int64) for _ in range(3))
    batches = [_counted(texts[begin:end]) for begin, end in _batches(texts)]
    for word, pair, _ in batches:
        np.add.at(words, word, 1)
        new = np.unique(np.stack([pair, word]), axis=1)
        np.add.at(followers, new[1][pairs[new[0]] == 0], 1)
        np.add.at(pairs, pair, 1)
    total = int(words.sum())
    found = [
        _bits(word[start:end], pair[start:end], words, pairs, followers, total)
        for word, pair, offsets in batches
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return np.array(found).reshape(-1, 2)


def freshness(texts: Sequence[str]) -> Floats:
    """The share of each text's runs of five words that no other has; 1 of one without any [N]."""
    seen = np.zeros(1 << _BITS, np.int64)
    batches = []
    for begin, end in _batches(texts):
        found = Texts([text.lower() for text in texts[begin:end]])
        runs, offsets = runs_of(Words(found.word_hashes, found.words.of), _RUN)
        place = (runs & np.uint64((1 << _BITS) - 1)).astype(np.int64)
        np.add.at(seen, place, 1)
        batches.append((place, offsets))
    shares = []
    for place, offsets in batches:
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            mine = place[start:end]
            shares.append(float(np.mean(seen[mine] <= _own(mine))) if end > start else 1.0)
    return np.array(shares)


def _counted(texts: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """Of each word the place of its count, and of it with the next word; offsets of the texts' words."""
    found = Texts([text.lower() for text in texts])
    hashes: Hashes = found.word_hashes
    after = np.append(hashes[1:], np.uint64(0))
    together: Hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + after
    mask = np.uint64((1 << _BITS) - 1)
    return (hashes & mask).astype(np.int64), (mixed(together) & mask).astype(np.int64), found.words.of


def _bits(word: Ints, pair: Ints, words: Ints, pairs: Ints, followers: Ints, total: int) -> tuple[float, float]:
    """The mean surprise of a text's words after the first, its own counts taken out, and what the word before saves."""
    if len(word) < _SHORT:
        return float("nan"), float("nan")
    own_words, own_pairs = _own(word), _own(pair)
    single = np.maximum(words[word] - own_words, 0)
    double = np.maximum(pairs[pair] - own_pairs, 0)[:-1]
    before, kinds = single[:-1], np.minimum(followers[word][:-1], single[:-1]) + 1.0
    alone = (single[1:] + 0.5) / (total + 0.5 * (1 << 17))
    likely = (double + kinds * alone) / (before + kinds)
    surprise = float(-np.log2(np.minimum(likely, 1.0)).mean())
    return surprise, float(-np.log2(alone).mean()) - surprise


def _own(places: Ints) -> Ints:
    """How often each of these stands among them."""
    _, number, counts = np.unique(places, return_inverse=True, return_counts=True)
    own: Ints = counts[number]
    return own


def _deviations(values: Floats) -> Floats:
    """How many deviations each value is from the median; 0 of what is not known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(len(values))
    middle = float(np.median(known))
    deviation = 1.4826 * float(np.median(np.abs(known - middle)))  # of a normal distribution the standard deviation
    return np.nan_to_num((values - middle) / max(deviation, 0.1))


def _variety_and_soundness(texts: Sequence[str], criteria: Criteria) -> Floats:
    found = measures([Document(text=text, place="") for text in texts], criteria)
    long = found["num_words"] >= _SHORT
    variety = np.where(long, np.minimum(1.0, found["bigram_variety"] / _ENOUGH_VARIETY), 1.0)
    left = np.ones(len(texts))
    for rule in RULES:
        limit = rule.limit_for(criteria.kind)
        if not limit or rule.beyond == "below" or rule.measure not in found:
            continue
        judged = found["num_words"] >= rule.from_words
        left = np.where(judged, np.minimum(left, 1.0 - found[rule.measure] / limit), left)
    result: Floats = variety * np.clip(left, 0.0, 1.0) ** 0.25
    return result


def _batches(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of texts of about a megabyte."""
    ranges, begin, size = [], 0, 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH:
            ranges.append((begin, number + 1))
            begin, size = number + 1, 0
    return [*ranges, (begin, len(texts))] if begin < len(texts) else ranges
