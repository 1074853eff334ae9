"""What a corpus is about: its passages in groups that share their words, on a map where like ones lie together.

A passage is a vector of its words, weighted by how rare they are (tf-idf) and folded by hash into a few hundred
dimensions (Weinberger et al. 2009); groups are those of spherical k-means (Dhillon and Modha 2001). Nothing is
downloaded and nothing is drawn by chance: the same corpus gives the same map.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coldframe.corpus.curation.sampling import Sample
from coldframe.corpus.filters.texts import Floats, Ints, Texts

Vectors = npt.NDArray[np.float32]
_DIMENSIONS = 512
_FEWEST, _MOST, _PASSAGES_EACH = 4, 24, 40
_OFTEN = 0.2
"""Words in more than this share of the passages say nothing of what one is about."""
_ROUNDS = 25
_WORD = re.compile(r"[^\W\d_]{4,}")
_NAMED_BY = 6
_READ_FOR_NAMES = 150
_EXAMPLES, _EXCERPT = 2, 200


@dataclass(frozen=True, slots=True)
class Topic:
    """A group of passages."""

    words: tuple[str, ...]
    """Those that stand in it far more often than elsewhere."""
    x: float
    y: float
    """Its place on the map, -1 to 1: nearer ones are more alike."""
    share: float
    """Of the bytes of the corpus."""
    by_source: dict[str, float]
    """Source -> its part of the topic."""
    examples: tuple[tuple[str, str], ...]
    """(place, how the passage begins) of those in its middle."""


@dataclass(frozen=True, slots=True)
class Map:
    """The topics, and what tells which one a text belongs to."""

    topics: tuple[Topic, ...]
    centres: Vectors
    """[K, D]"""
    idf: Floats
    """By hashed word."""

    @property
    def effective(self) -> float:
        """How many topics of equal size would be as varied: e to the power of the entropy of their shares."""
        shares = np.array([topic.share for topic in self.topics if topic.share > 0])
        return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0

    def shares_of(self, texts: Sequence[str]) -> Floats:
        """Which part of these texts belongs to each topic [K]."""
        number = np.argmax(_vectors(texts, self.idf) @ self.centres.T, axis=1)
        sizes = np.array([len(text) for text in texts], dtype=np.float64)
        found = np.bincount(number, weights=sizes, minlength=len(self.centres))
        shares: Floats = found / max(1.0, float(sizes.sum()))
        return shares


def draw_map(sample: Sample) -> Map:
    """Group the passages of a sample."""
    texts = sample.texts
    idf = _idf(texts)
    vectors = _vectors(texts, idf)
    weights = np.array([passage.weight for passage in sample.passages])
    number = int(np.clip(len(texts) // _PASSAGES_EACH, _FEWEST, _MOST))
    centres, group = _k_means(vectors, min(number, max(1, len(texts))))
    places = _flattened(centres)
    common = Counter(word for text in texts[:: max(1, len(texts) // 2000)] for word in set(_words(text)))
    topics = []
    for at in range(len(centres)):
        mine = np.flatnonzero(group == at)
        likeness = vectors[mine] @ centres[at]
        middle = mine[np.argsort(-likeness, kind="stable")]
        whole = max(1e-9, float(weights[mine].sum()))
        share = whole / max(1e-9, float(weights.sum()))
        by_source = Counter[str]()
        for passage in mine.tolist():
            by_source[sample.names[sample.passages[passage].source]] += weights[passage] / max(
                1e-9, weights[mine].sum()
            )
        topics.append(
            Topic(
                words=_names([texts[one] for one in middle[:_READ_FOR_NAMES].tolist()], common),
                x=round(float(places[at, 0]), 3),
                y=round(float(places[at, 1]), 3),
                share=round(share, 4),
                by_source={name: round(part, 4) for name, part in by_source.most_common()},
                examples=tuple(
                    (sample.passages[one].place, texts[one][:_EXCERPT]) for one in middle[:_EXAMPLES].tolist()
                ),
            )
        )
    order = sorted(range(len(topics)), key=lambda at: -topics[at].share)
    return Map(tuple(topics[at] for at in order), centres[order], idf)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _places(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Hashed words of all texts, each once for a text, and how often; as (text, word) pairs sorted by text."""
    found = Texts([" ".join(_words(text)) for text in texts])
    word = (found.word_hashes >> np.uint64(44)).astype(np.int64)  # 20 bits
    return np.repeat(np.arange(len(texts)), np.diff(found.words.of)), word


def _idf(texts: Sequence[str]) -> Floats:
    seen = np.zeros(1 << 20)
    for begin in range(0, len(texts), 500):
        text, word = _places(texts[begin : begin + 500])
        pairs = np.unique(text << 20 | word)
        seen += np.bincount(pairs & ((1 << 20) - 1), minlength=1 << 20)
    idf = np.log((1 + len(texts)) / (1 + seen))
    idf[(seen > _OFTEN * len(texts)) | (seen < 2)] = 0.0
    return idf


def _vectors(texts: Sequence[str], idf: Floats) -> Vectors:
    """Unit vectors [N, D]; nothing but zeros for a text without telling words."""
    vectors = np.zeros((len(texts), _DIMENSIONS), dtype=np.float32)
    for begin in range(0, len(texts), 500):
        text, word = _places(texts[begin : begin + 500])
        pairs, counts = np.unique(text << 20 | word, return_counts=True)
        word, text = pairs & ((1 << 20) - 1), (pairs >> 20) + begin
        sign = np.where(word & 1, 1.0, -1.0)
        np.add.at(vectors, (text, (word >> 1) % _DIMENSIONS), (sign * (1 + np.log(counts)) * idf[word]).astype("f4"))
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors


def _k_means(vectors: Vectors, number: int) -> tuple[Vectors, Ints]:
    """Centres and each vector's group: begun with vectors that are far from each other."""
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))] if len(vectors) else []
    nearest = vectors @ vectors[chosen[0]] if chosen else np.empty(0)
    draw = np.random.default_rng(0)
    while len(chosen) < number:
        distance = np.maximum(1.0 - nearest, 0.0) ** 2
        total = distance.sum()
        if total <= 0:
            break
        chosen.append(int(draw.choice(len(vectors), p=distance / total)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    centres = vectors[chosen]
    group = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(_ROUNDS):
        before, group = group, np.argmax(vectors @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, group, vectors)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 1e-9, sums / np.maximum(norms, 1e-9), centres)
        if np.array_equal(before, group):
            break
    return centres, group


def _flattened(centres: Vectors) -> Floats:
    """Two dimensions of the centres that tell most of them apart, -1 to 1 [K, 2]."""
    if len(centres) < 3:
        return np.array([[float(at), 0.0] for at in range(len(centres))]).reshape(-1, 2)
    middle = centres - centres.mean(axis=0)
    left, sizes, _ = np.linalg.svd(middle, full_matrices=False)
    places = left[:, :2] * sizes[:2]
    scaled: Floats = places / max(1e-9, float(np.abs(places).max()))
    return scaled


def _names(texts: Sequence[str], common: Counter[str]) -> tuple[str, ...]:
    """The words that are most its own."""
    here = Counter(word for text in texts for word in set(_words(text)))
    total, most = max(1, len(texts)), max(common.values(), default=1)
    telling = {
        word: count / total * np.log((1 + most) / (1 + common[word])) for word, count in here.items() if count > 1
    }
    return tuple(sorted(telling, key=lambda word: (-telling[word], word))[:_NAMED_BY])
