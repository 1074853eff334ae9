"""Documents become token ids: in two threads, in order, with little held in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from coldframe.corpus.documents import Document
from coldframe.tokens.chat import render
from coldframe.tokens.holdout import held_out_texts, text_hash
from coldframe.tokens.shards import Array
from coldframe.tokens.tokenizer import Tokenizer

THREADS = 2
"""tiktoken lets go of Python's lock, but gains nothing from more on 2 cores."""
_BATCH, _AHEAD = 1 << 18, 1 << 23
"""Characters handed to a thread at a time, and characters that may be under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedDocument:
    """A document, or the part of one on one side of the hold-out, as tokens with BOS first."""

    ids: Array
    mask: Array | None
    """np.uint8 of a conversation: 1 where the assistant speaks; None for plain text."""
    held_out: bool


def encode_documents(
    documents: Iterable[Document], tokenizer: Tokenizer, bound: int
) -> Iterator[tuple[int, list[EncodedDocument]]]:
    """For each batch of documents in turn: its characters, and its tokens.

    Texts with a hash under `bound` are held out (see holdout.py); what stands before and after a held-out passage of a
    long document becomes separate documents.
    """
    waiting: deque[tuple[int, Future[list[EncodedDocument]]]] = deque()
    under_way = 0
    with ThreadPoolExecutor(THREADS, thread_name_prefix="encode") as pool:
        for size, batch in _batches(documents):
            waiting.append((size, pool.submit(_encode_batch, batch, tokenizer, bound)))
            under_way += size
            while under_way > _AHEAD and len(waiting) > 1:
                done, future = waiting.popleft()
                under_way -= done
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _batches(documents: Iterable[Document]) -> Iterator[tuple[int, list[Document]]]:
    batch, size = list[Document](), 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH:
            yield size, batch
            batch, size = [], 0
    if batch:
        yield size, batch


def _encode_batch(batch: list[Document], tokenizer: Tokenizer, bound: int) -> list[EncodedDocument]:
    return [encoded for document in batch for encoded in _encode(document, tokenizer, bound)]


def _encode(document: Document, tokenizer: Tokenizer, bound: int) -> Iterator[EncodedDocument]:
    if document.messages:
        ids, mask = render(document.messages, tokenizer)
        yield EncodedDocument(
            ids=np.array(ids), mask=np.array(mask, np.uint8), held_out=text_hash(document.text) < bound
        )
        return
    bos = np.array([tokenizer.bos], np.uint32)
    part = [bos]
    for text in held_out_texts(document):
        ids_of_text = tokenizer.encode_array(text)
        if text_hash(text) < bound:
            if len(part) > 1:
                yield EncodedDocument(ids=np.concatenate(part), mask=None, held_out=False)
            yield EncodedDocument(ids=np.concatenate([bos, ids_of_text]), mask=None, held_out=True)
            part = [bos]
        else:
            part.append(ids_of_text)
    if len(part) > 1:
        yield EncodedDocument(ids=np.concatenate(part), mask=None, held_out=False)
