"""Bits per byte: how many bits a model needs for a byte of held-out text; comparable between vocabularies.

Every document is scored by itself. A document longer than the context is read in windows of `context` tokens that
begin every `stride` tokens; each token is scored once, by the first window that reaches it, so that it has at least
`context - stride` tokens before it, or all that its document has. BOS is given, not scored; every other token costs its
nats. What is divided by is the raw UTF-8 bytes of the text, in which special tokens have none.

Nothing depends on which documents share a forward or on their order, up to float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from coldframe.errors import SourceError
from coldframe.generate.scoring import BATCH_TOKENS, token_losses
from coldframe.model.transformer import Transformer
from coldframe.run.schema import ALL_SOURCES

_RESAMPLES = 1000
_WINDOWS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A document to score."""

    ids: npt.NDArray[np.integer]
    """Its tokens, BOS first."""
    num_bytes: int
    """Raw UTF-8 bytes of its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsPerByte:
    """A figure with its 95% interval, and what it was measured on.

    The interval is a bootstrap over documents; NaN, as it cannot be known, from fewer than two.
    """

    source: str
    value: float
    low: float
    high: float
    num_documents: int
    num_bytes: int
    num_tokens: int
    context: int
    stride: int


def bits_per_byte(
    model: Transformer,
    sources: Mapping[str, Sequence[Scored]],
    *,
    context: int | None = None,
    stride: int | None = None,
    max_bytes: int | None = None,
    seed: int = 0,
    batch_tokens: int = BATCH_TOKENS,
) -> list[BitsPerByte]:
    """Bits per byte of each source that has text, then of all of them together (the sum of bits over the sum of bytes).

    `max_bytes` bounds what is scored of each source: a subset of its documents that depends on their content and the
    seed alone. `context` is the model's unless given, `stride` half of it.

    Raises:
        SourceError: when no source has text to score.
    """
    context = context or model.sizes.context
    stride = stride or max(1, context // 2)
    assert 0 < stride <= context <= model.sizes.context, f"stride {stride}, context {context}"
    chosen = {name: _chosen(documents, max_bytes, seed) for name, documents in sources.items()}
    chosen = {name: documents for name, documents in chosen.items() if documents}
    if not chosen:
        raise SourceError("there is no held-out text to score", advice="hold out a larger share of the sources")
    nats = {
        name: document_nats(model, documents, context=context, stride=stride, batch_tokens=batch_tokens)
        for name, documents in chosen.items()
    }
    figures = [_figure(name, documents, nats[name], context, stride, seed) for name, documents in chosen.items()]
    everything = [document for documents in chosen.values() for document in documents]
    together = np.concatenate([nats[name] for name in chosen])
    return [*figures, _figure(ALL_SOURCES, everything, together, context, stride, seed)]


def document_nats(
    model: Transformer, documents: Sequence[Scored], *, context: int, stride: int, batch_tokens: int = BATCH_TOKENS
) -> npt.NDArray[np.float64]:
    """Nats of each document, summed over its tokens without BOS (float64, one a document)."""
    windows = [
        (number, start, skip)
        for number, document in enumerate(documents)
        for start, skip in windows_of(len(document.ids), context=context, stride=stride)
    ]
    windows.sort(key=lambda window: min(len(documents[window[0]].ids) - window[1], context + 1))
    nats = np.zeros(len(documents))
    for at in range(0, len(windows), _WINDOWS):
        some = windows[at : at + _WINDOWS]
        rows = [documents[number].ids[start : start + context + 1] for number, start, _ in some]
        losses = token_losses(model, rows, skip=[skip for _, _, skip in some], batch_tokens=batch_tokens)
        for (number, _, _), of_window in zip(some, losses, strict=True):
            nats[number] += of_window.sum(dtype=np.float64)
    return nats


def windows_of(num_tokens: int, *, context: int, stride: int) -> list[tuple[int, int]]:
    """(start, skip) of a document's windows: tokens start to start + context are read, and of the targets that follow
    each of them the first `skip` were scored before."""
    windows = [(0, 0)] if num_tokens > 1 else []
    scored_to = context + 1
    while scored_to < num_tokens:
        start = windows[-1][0] + stride
        windows.append((start, scored_to - start - 1))
        scored_to = start + context + 1
    return windows


def _chosen(documents: Sequence[Scored], max_bytes: int | None, seed: int) -> list[Scored]:
    """Documents that have text, and no more of them than fit; at least one."""
    usable = [document for document in documents if document.num_bytes > 0 and len(document.ids) > 1]
    if max_bytes is None or sum(document.num_bytes for document in usable) <= max_bytes:
        return usable
    usable.sort(key=lambda document: xxhash.xxh3_64_intdigest(document.ids.astype("<u4").tobytes(), seed=seed % 2**64))
    chosen: list[Scored] = []
    room = max_bytes
    for document in usable:
        if document.num_bytes <= room:
            chosen.append(document)
            room -= document.num_bytes
    return chosen or [min(usable, key=lambda document: document.num_bytes)]


def _figure(
    source: str, documents: Sequence[Scored], nats: npt.NDArray[np.float64], context: int, stride: int, seed: int
) -> BitsPerByte:
    sizes = np.array([document.num_bytes for document in documents], dtype=np.float64)
    bits = nats / math.log(2)
    low, high = _interval(bits, sizes, seed)
    return BitsPerByte(
        source=source,
        value=math.fsum(bits) / math.fsum(sizes),
        low=low,
        high=high,
        num_documents=len(documents),
        num_bytes=int(sizes.sum()),
        num_tokens=sum(len(document.ids) - 1 for document in documents),
        context=context,
        stride=stride,
    )


def _interval(bits: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the ratio over documents drawn again with replacement (Efron, 1979)."""
    if len(bits) < 2:
        return math.nan, math.nan
    order = np.lexsort((bits, sizes))  # the same interval whatever order the documents came in
    bits, sizes = bits[order], sizes[order]
    draw = np.random.Generator(np.random.Philox(key=seed % 2**64))
    ratios = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        again = draw.integers(len(bits), size=len(bits))
        ratios[index] = bits[again].sum() / sizes[again].sum()
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)
