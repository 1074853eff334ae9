"""What `coldframe tokenizer train`, `eval` and `advise`, and `corpus report`, which counts tokens, do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from coldframe.corpus.report import folders_under, report, save_report
from coldframe.corpus.sources import EMBEDDED, Source, open_sources, plain_names
from coldframe.errors import CorpusError
from coldframe.hardware import detect
from coldframe.run.paths import report_file
from coldframe.tokens.advice import advise
from coldframe.tokens.compression import measure, vocabulary_named
from coldframe.tokens.sample import training_sample
from coldframe.tokens.tokenizer import Tokenizer, check_vocab_size


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
    against: str = ""
    """Another vocabulary to compare with: gpt2, a file of GPT-2's in tiktoken's form, or a tokenizer's JSON file."""
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
    against: str = ""
    """Another vocabulary to compare with: gpt2, a file of GPT-2's in tiktoken's form, or a tokenizer's JSON file."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """No progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerAdvise:
    """Find out how large a vocabulary should be: what each size gains on your text, and what it costs."""

    paths: Positional[tuple[Path, ...]] = ()
    """Files or folders of text; none means the embedded corpus."""
    depth: int | None = None
    """Layers of the model; what suits this machine unless given."""
    tokens: float | None = None
    """Training tokens of the run that is planned; the plan's own horizon unless given."""
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
    against = vocabulary_named(settings.against) if settings.against else None
    opened, _ = open_sources(_sources(settings.paths))
    texts = training_sample([(source, 0) for source in opened], lambda done: progress("training the tokenizer", done))
    tokenizer = Tokenizer.train(texts, settings.vocab_size)
    tokenizer.save(settings.out)
    if settings.huggingface is not None:
        tokenizer.export_hf(settings.huggingface)
    measured = measure(tokenizer, opened, progress, against)
    compared = ("bytes_per_token", "against", "against_bytes_per_token", "ratio")
    return {
        "path": str(settings.out),
        "vocab_size": tokenizer.vocab_size,
        "sha256": tokenizer.sha256,
        **{name: measured[name] for name in compared if name in measured},
    }


def evaluate_tokenizer(
    settings: TokenizerEval, progress: Callable[[str, float], None] = lambda what, done: None
) -> dict[str, object]:
    """Bytes per token by source, and speed on one thread, on up to 20 million characters."""
    tokenizer = Tokenizer.load(settings.tokenizer)
    against = vocabulary_named(settings.against) if settings.against else None
    opened, _ = open_sources(_sources(settings.paths))
    measured = measure(tokenizer, opened, progress, against)
    return {"tokenizer": str(settings.tokenizer), "sha256": tokenizer.sha256, **measured}


def advise_vocabulary(
    settings: TokenizerAdvise, progress: Callable[[str, float], None] = lambda what, done: None
) -> dict[str, object]:
    """What each size of vocabulary gains and costs, and which one is recommended."""
    opened, _ = open_sources(_sources(settings.paths))
    found = advise(opened, depth=settings.depth, tokens=settings.tokens, hardware=detect(), progress=progress)
    return dataclasses.asdict(found)


def _sources(paths: Sequence[Path]) -> Sequence[Source]:
    """A source a path, or the embedded corpus."""
    named = [
        Source(name=name, kind="prose", path=str(path)) for path, name in zip(paths, plain_names(paths), strict=True)
    ]
    return named or EMBEDDED
