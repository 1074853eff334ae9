"""How many bytes of text a token stands for, source by source, and beside another vocabulary."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiktoken

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import OpenedSource
from coldframe.errors import SourceError, TokenizerError
from coldframe.tokens.holdout import held_out_texts
from coldframe.tokens.sample import sample_budgets
from coldframe.tokens.tokenizer import Tokenizer, encoded

_MEASURED_CHARACTERS = 20_000_000
"""Compression is measured on at most so much text in all."""
_GPT2_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_GPT2_CACHED = hashlib.sha1(b"https://openaipublic.blob.core.windows.net/encodings/r50k_base.tiktoken").hexdigest()
_TO_GET_IT = (
    "name a file: --against gpt2.tiktoken (the source of the package openai-whisper has one), or let tiktoken fetch it "
    "once: python -c \"import tiktoken; tiktoken.get_encoding('r50k_base')\""
)

Encode = Callable[[str], np.ndarray]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Anything that makes tokens of text."""

    name: str
    vocab_size: int
    encode: Encode


def vocabulary_of(tokenizer: Tokenizer, name: str = "") -> Vocabulary:
    """A tokenizer as one of those that are compared."""
    return Vocabulary(name=name, vocab_size=tokenizer.vocab_size, encode=tokenizer.encode_array)


def vocabulary_named(name: str) -> Vocabulary:
    """`gpt2`, which tiktoken has fetched before, a file of GPT-2's vocabulary in its form, or a tokenizer of ours.

    Nothing is fetched.

    Raises:
        TokenizerError: when it is not there, or is neither.
    """
    path = _cached() if name == "gpt2" else Path(name)
    if path.suffix == ".json":
        return vocabulary_of(Tokenizer.load(path), name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"there is no vocabulary to compare with at {path}", advice=_TO_GET_IT) from error
    if hashlib.sha256(data).hexdigest() != _GPT2_SHA256:
        raise TokenizerError(f"{path} is not GPT-2's vocabulary as tiktoken keeps it", advice=_TO_GET_IT)
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines())}
    specials = {"<|endoftext|>": len(ranks)}
    gpt2 = tiktoken.Encoding("gpt2", pat_str=_GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=specials)
    return Vocabulary(name="gpt2", vocab_size=gpt2.n_vocab, encode=lambda text: encoded(gpt2, text))


def _cached() -> Path:
    """Where tiktoken keeps what it has fetched."""
    usual = Path(tempfile.gettempdir()) / "data-gym-cache"
    return Path(os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR") or usual) / _GPT2_CACHED


def measured_texts(opened: Sequence[OpenedSource], progress: Progress) -> Iterator[tuple[OpenedSource, list[str]]]:
    """The documents and passages at the beginning of each source, a document at a time, 20 million characters in all.

    Raises:
        SourceError: for a source without text.
    """
    budgets = sample_budgets([source.num_bytes for source in opened], _MEASURED_CHARACTERS)
    for number, (source, budget) in enumerate(zip(opened, budgets, strict=True)):
        progress(f"measuring on {source.name}", number / len(opened))
        read, quarantine = 0, Quarantine()
        for document in source.documents(quarantine):
            texts = held_out_texts(document)
            yield source, texts
            read += sum(map(len, texts))
            if read >= budget:
                break
        if not read:
            raise SourceError(
                f"source {source.name!r} has no text ({quarantine})",
                advice="add text, name its fields, or leave it out",
            )


def measure(
    tokenizer: Tokenizer, opened: Sequence[OpenedSource], progress: Progress, against: Vocabulary | None = None
) -> dict[str, object]:
    """Bytes per token by source, tokens, bytes and speed over the beginning of each source; of another one beside it.

    Raises:
        SourceError: for a source without text.
    """
    tokens, sizes = dict.fromkeys([source.name for source in opened], 0), dict.fromkeys([s.name for s in opened], 0)
    others, seconds = dict(tokens), 0.0
    for source, texts in measured_texts(opened, progress):
        for text in texts:
            started = time.perf_counter()
            tokens[source.name] += len(tokenizer.encode_array(text))
            seconds += time.perf_counter() - started
            sizes[source.name] += len(text.encode("utf-8"))
            if against is not None:
                others[source.name] += len(against.encode(text))
    ours = {name: round(size / max(1, tokens[name]), 4) for name, size in sizes.items()}
    found: dict[str, object] = {
        "bytes_per_token": ours,
        "num_tokens": sum(tokens.values()),
        "num_bytes": sum(sizes.values()),
        "megabytes_per_second": round(sum(sizes.values()) / 1e6 / max(seconds, 1e-9), 3),
    }
    if against is not None:
        theirs = {name: round(size / max(1, others[name]), 4) for name, size in sizes.items()}
        found["against"] = f"{against.name} ({against.vocab_size:,} tokens)"
        found["against_bytes_per_token"] = theirs
        found["ratio"] = {name: round(ours[name] / theirs[name], 4) for name in ours}
    return found
