"""From sources of text to a tokenizer and shards: makes what is missing, and finds again what was made before.

    <folder>/tokenizers/<sha256[:12]>/tokenizer.json
    <folder>/tokenizers/trained-<key>.json                  which tokenizer these texts and this vocabulary gave
    <folder>/shards/<tokenizer sha256[:12]>/<source>/<manifest hash[:12]>/
    <folder>/shards/<tokenizer sha256[:12]>/<source>/prepared-<key>.json    which shards this text gave

A key is a hash of what went in (files, sizes, times of change, package versions, settings), so unchanged text is not
read again. Two processes may prepare the same at once: each writes under its own name, and the second finds the first's
result.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import OpenedSource
from coldframe.errors import SourceError, TokenizerError
from coldframe.run.durable import write_whole
from coldframe.tokens.encoding import encode_documents
from coldframe.tokens.holdout import held_out_texts, hold_out_below
from coldframe.tokens.sample import SAMPLE_CHARACTERS, training_sample
from coldframe.tokens.shard_writer import ShardWriter
from coldframe.tokens.shards import TokenSource
from coldframe.tokens.tokenizer import PATTERN, SPECIALS, Tokenizer

HELD_OUT = 0.02
_VERSION = 3
"""Raised when the same text would give other tokens or other documents, so that they are made again."""
Progress = Callable[[str, float], None]
"""Told what is being done and how much of it is done, from 0 to 1."""
_Bound = Callable[[], int]
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What became of one source's text."""

    name: str
    kind: str
    licence: str
    num_documents: int
    """Training documents; a long document around held-out passages counts once a part."""
    num_tokens: int
    num_bytes: int
    validation_documents: int
    validation_tokens: int
    validation_bytes: int
    quarantined: int
    """Files, lines or rows that could not be read."""
    examples: tuple[tuple[str, str], ...]
    """(place, reason) of the first of them."""
    left_alone: str
    """Files of kinds that are not read, for people; empty when there are none."""
    reused: bool
    """Whether the shards were there already."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A tokenizer and the tokenized sources, ready to be read."""

    tokenizer: Tokenizer
    tokenizer_path: Path
    sources: tuple[TokenSource, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of the embedded sources that this machine lacks."""
    reports: tuple[SourceReport, ...]


def prepare(
    opened: Sequence[OpenedSource],
    skipped: Sequence[tuple[str, str]] = (),
    *,
    folder: Path,
    vocab_size: int | None,
    tokenizer_path: Path | None = None,
    held_out: float = HELD_OUT,
    progress: Progress = lambda what, done: None,
) -> Prepared:
    """The tokenizer and shards of these sources under `folder`, made where they are missing; `skipped` are those that
    could not be opened.

    Without `tokenizer_path` a tokenizer of `vocab_size` tokens is trained on the sources' training side; with it that
    file is used, and a `vocab_size` that differs raises TokenizerError. Raises SourceError, ShardError (a damaged set),
    DiskFullError.
    """
    bounds = {source.name: functools.cache(functools.partial(_bound, source, held_out)) for source in opened}
    if tokenizer_path is not None:
        tokenizer, path = _load(tokenizer_path, vocab_size), tokenizer_path
    else:
        assert vocab_size is not None, "a tokenizer to train needs a vocab_size"
        tokenizer, path = _trained(opened, bounds, folder, vocab_size, held_out, progress)
    prepared, reports, empty = [], [], []
    for source in opened:
        try:
            shards, report = _shards(source, bounds[source.name], tokenizer, folder, held_out, progress)
        except SourceError as error:
            if source.source.package is None:
                raise
            _log.warning("source %s is skipped: %s", source.name, error)
            empty.append((source.name, error.message))
            continue
        if report.quarantined:
            place, reason = report.examples[0]
            _log.warning(
                "source %s: %d pieces set aside, the first: %s: %s", source.name, report.quarantined, place, reason
            )
        prepared.append(shards)
        reports.append(report)
    if not prepared:
        raise SourceError("no source holds any text", advice="name a folder of your own text")
    return Prepared(
        tokenizer=tokenizer,
        tokenizer_path=path,
        sources=tuple(prepared),
        skipped=(*skipped, *empty),
        reports=tuple(reports),
    )


def _bound(source: OpenedSource, share: float) -> int:
    """The source's bound for holding out (see holdout.py), for which its text is looked through."""
    return hold_out_below(
        (text for document in source.documents(Quarantine()) for text in held_out_texts(document)), share
    )


def _check_for_text(source: OpenedSource) -> None:
    """Refuses a user's own source without any text before time is spent on the others."""
    quarantine = Quarantine()
    if source.source.package is None and next(source.documents(quarantine), None) is None:
        raise SourceError(
            f"source {source.name!r} has no readable text ({quarantine})",
            advice="add text, name its fields, or leave it out",
        )


def _load(path: Path, vocab_size: int | None) -> Tokenizer:
    tokenizer = Tokenizer.load(path)
    if vocab_size is not None and tokenizer.vocab_size != vocab_size:
        raise TokenizerError(
            f"the tokenizer {path} has a vocabulary of {tokenizer.vocab_size}, but {vocab_size} is asked for",
            advice=f"set the vocabulary to {tokenizer.vocab_size}, or leave the tokenizer out and one is trained",
        )
    return tokenizer


def _trained(
    opened: Sequence[OpenedSource],
    bounds: Mapping[str, _Bound],
    folder: Path,
    vocab_size: int,
    held_out: float,
    progress: Progress,
) -> tuple[Tokenizer, Path]:
    """The tokenizer that these sources give, from an earlier time or trained now."""
    fingerprints = sorted((source.name, source.fingerprint) for source in opened)
    key = _key([_VERSION, PATTERN, SPECIALS, SAMPLE_CHARACTERS, vocab_size, held_out, fingerprints])
    home = folder / "tokenizers"
    note = home / f"trained-{key}.json"
    known = _read_note(note)
    if known is not None:
        path = home / known["sha256"][:12] / "tokenizer.json"
        if path.is_file():
            return Tokenizer.load(path), path
    for source in opened:
        _check_for_text(source)
    what = "training the tokenizer"
    progress(what, 0.0)
    texts = training_sample(
        [(source, bounds[source.name]()) for source in opened], lambda done: progress(what, 0.9 * done)
    )
    tokenizer = Tokenizer.train(texts, vocab_size)
    path = home / tokenizer.sha256[:12] / "tokenizer.json"
    tokenizer.save(path)
    write_whole(note, json.dumps({"sha256": tokenizer.sha256, "vocab_size": vocab_size}).encode())
    progress(what, 1.0)
    return tokenizer, path


def _shards(
    source: OpenedSource, bound: _Bound, tokenizer: Tokenizer, folder: Path, held_out: float, progress: Progress
) -> tuple[TokenSource, SourceReport]:
    """One source's shards, from an earlier time or written now; their hashes are checked either way."""
    started = time.monotonic()
    home = folder / "shards" / tokenizer.sha256[:12] / source.name
    note = home / f"prepared-{_key([_VERSION, source.fingerprint, source.source.record(), held_out])}.json"
    known = _read_note(note)
    if known is not None and (home / known["folder"]).is_dir():
        shards = TokenSource.open(home / known["folder"], verify=True)
        quarantine = Quarantine(
            count=known["quarantined"], examples=[(place, reason) for place, reason in known["examples"]]
        )
        return shards, _report(source, shards, quarantine, reused=True, seconds=time.monotonic() - started)
    what = f"tokenizing {source.name}"
    progress(what, 0.0)
    quarantine, done = Quarantine(), 0
    with ShardWriter(home, source.source.record(), tokenizer, held_out=held_out) as writer:
        for num_characters, documents in encode_documents(source.documents(quarantine), tokenizer, bound()):
            for document in documents:
                (writer.add_validation if document.held_out else writer.add)(document.ids, document.mask)
            done += num_characters
            progress(what, min(0.99, done / max(1, source.num_bytes)))
        try:
            path = writer.finish()
        except SourceError as error:
            raise SourceError(f"{error.message} ({quarantine})", advice=error.advice) from error
    shards = TokenSource.open(path)
    entry = {"folder": path.name, "quarantined": quarantine.count, "examples": quarantine.examples}
    if not quarantine.try_again:
        write_whole(note, json.dumps(entry, indent=1).encode())
    progress(what, 1.0)
    return shards, _report(source, shards, quarantine, reused=False, seconds=time.monotonic() - started)


def _report(
    source: OpenedSource, shards: TokenSource, quarantine: Quarantine, *, reused: bool, seconds: float
) -> SourceReport:
    return SourceReport(
        name=source.name,
        kind=source.source.kind,
        licence=source.source.licence,
        num_documents=shards.num_documents,
        num_tokens=shards.num_tokens,
        num_bytes=shards.num_bytes,
        validation_documents=shards.validation.num_documents,
        validation_tokens=shards.validation.num_tokens,
        validation_bytes=shards.validation.num_bytes,
        quarantined=quarantine.count,
        examples=tuple(quarantine.examples),
        left_alone=source.left_alone,
        reused=reused,
        seconds=seconds,
    )


def _key(parts: object) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True).encode())[:16]


def _read_note(path: Path) -> dict[str, Any] | None:
    """What was noted about an earlier preparation, or nothing: then it is made again, which does no harm."""
    try:
        note = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return note if isinstance(note, dict) else None
