"""What `coldframe tokenizer train`, `tokenizer eval` and `corpus report`, which counts tokens, do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.report import folders_under, report, save_report
from coldframe.corpus.sources import EMBEDDED, OpenedSource, Source, open_sources, plain_names
from coldframe.errors import CorpusError, SourceError
from coldframe.run.paths import report_file
from coldframe.tokens.holdout import held_out_texts
from coldframe.tokens.sample import sample_budgets, training_sample
from coldframe.tokens.tokenizer import Tokenizer, check_vocab_size

_MEASURED_CHARACTERS = 20_000_000
"""Compression is measured on at most so much text in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerTrain:
    """Train a tokenizer on text of your own, or on the embedded corpus."""

    paths: Positional[tuple[Path, ...]] = ()
    """Files or folders of text; none means the embedded corpus."""
    vocab_size: int = 32_768
    """Tokens in the vocabulary, the special ones included."""
    out: Path = Path("tokenizer.json")
    """Where the tokenizer is written."""
    huggingface: Path | None = None
    """Where a Hugging Face tokenizer.json is written beside it."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """No progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerEval:
    """Measure how well and how fast a tokenizer encodes text."""

    tokenizer: Path
    """The tokenizer's JSON file."""
    paths: Positional[tuple[Path, ...]] = ()
    """Files or folders of text; none means the embedded corpus."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """No progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReport:
    """What became of every source: in, out, dropped, by reason."""

    paths: Positional[tuple[Path, ...]]
    """Folders of documents, or folders of such folders."""
    tokenizer: Path | None = None
    """A tokenizer's JSON file, to count the tokens of what is kept."""
    tokens: float | None = None
    """Training tokens of the run that is planned, to say how often the text will be read."""
    page: str | None = None
    """A name under which the report is kept, for a page of the explorer."""
    runs: str = "runs"
    """Folder that holds the runs, where the explorer finds the report."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """No progress."""


def report_corpus(
    settings: CorpusReport, progress: Callable[[str, float], None] = lambda what, done: None
) -> dict[str, object]:
    """A line for each source, read off the documents and the verdicts beside them; kept for the explorer on request."""
    kept = report_file(settings.page, settings.runs) if settings.page is not None else None  # before any text is read
    folders = [folder for path in settings.paths for folder in folders_under(path)]
    if not folders:
        raise CorpusError(
            f"{settings.paths[0]} holds no corpus", advice="coldframe corpus ingest makes one of files and folders"
        )
    tokenizer = Tokenizer.load(settings.tokenizer) if settings.tokenizer else None
    told: list[str] = []

    def tell(name: str) -> None:
        progress("reading the verdicts", len(told) / len(folders))
        told.append(name)

    sources = report(
        folders,
        count_tokens=(lambda text: len(tokenizer.encode_array(text))) if tokenizer else None,
        training_tokens=settings.tokens,
        told=tell,
    )
    progress("reading the verdicts", 1.0)
    if kept is not None:
        save_report(kept, sources)
    page = f"/corpus/{settings.page}" if kept is not None else None
    return {"sources": [dataclasses.asdict(source) for source in sources], "page": page}


def train_tokenizer(
    settings: TokenizerTrain, progress: Callable[[str, float], None] = lambda what, done: None
) -> dict[str, object]:
    """Trains on a balanced sample, saves, and measures bytes per token by source."""
    check_vocab_size(settings.vocab_size)  # before any text is read
    opened, _ = open_sources(_sources(settings.paths))
    texts = training_sample([(source, 0) for source in opened], lambda done: progress("training the tokenizer", done))
    tokenizer = Tokenizer.train(texts, settings.vocab_size)
    tokenizer.save(settings.out)
    if settings.huggingface is not None:
        tokenizer.export_hf(settings.huggingface)
    measured = _measure(tokenizer, opened, progress)
    return {
        "path": str(settings.out),
        "vocab_size": tokenizer.vocab_size,
        "sha256": tokenizer.sha256,
        "bytes_per_token": measured["bytes_per_token"],
    }


def evaluate_tokenizer(
    settings: TokenizerEval, progress: Callable[[str, float], None] = lambda what, done: None
) -> dict[str, object]:
    """Bytes per token by source, and speed on one thread, on up to 20 million characters."""
    tokenizer = Tokenizer.load(settings.tokenizer)
    opened, _ = open_sources(_sources(settings.paths))
    return {"tokenizer": str(settings.tokenizer), "sha256": tokenizer.sha256, **_measure(tokenizer, opened, progress)}


def _sources(paths: Sequence[Path]) -> Sequence[Source]:
    """A source a path, or the embedded corpus."""
    named = [
        Source(name=name, kind="prose", path=str(path)) for path, name in zip(paths, plain_names(paths), strict=True)
    ]
    return named or EMBEDDED


def _measure(
    tokenizer: Tokenizer, opened: Sequence[OpenedSource], progress: Callable[[str, float], None]
) -> dict[str, object]:
    """Bytes per token by source, tokens, bytes and speed over the beginning of each source."""
    ratios, all_tokens, all_bytes, seconds = {}, 0, 0, 0.0
    budgets = sample_budgets([source.num_bytes for source in opened], _MEASURED_CHARACTERS)
    for number, (source, budget) in enumerate(zip(opened, budgets, strict=True)):
        progress(f"measuring on {source.name}", number / len(opened))
        num_tokens = num_bytes = 0
        quarantine = Quarantine()
        for document in source.documents(quarantine):
            for text in held_out_texts(document):
                started = time.perf_counter()
                num_tokens += len(tokenizer.encode_array(text))
                seconds += time.perf_counter() - started
                num_bytes += len(text.encode("utf-8"))
            if num_bytes >= budget:
                break
        if not num_tokens:
            raise SourceError(
                f"source {source.name!r} has no text ({quarantine})",
                advice="add text, name its fields, or leave it out",
            )
        ratios[source.name] = round(num_bytes / num_tokens, 4)
        all_tokens, all_bytes = all_tokens + num_tokens, all_bytes + num_bytes
    return {
        "bytes_per_token": ratios,
        "num_tokens": all_tokens,
        "num_bytes": all_bytes,
        "megabytes_per_second": round(all_bytes / 1e6 / max(seconds, 1e-9), 3),
    }
