"""What `coldframe corpus sources`, `ingest`, `filter`, `dedup` and `dialogue` do."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from coldframe.corpus.batches import in_shares
from coldframe.corpus.contamination import Contaminated, find_contamination
from coldframe.corpus.curation.accept import accept
from coldframe.corpus.curation.curate import curate
from coldframe.corpus.curation.improve import improve_documents
from coldframe.corpus.dedup import deduplicate
from coldframe.corpus.dialogue.books import extract
from coldframe.corpus.dialogue.exchanges import GAP
from coldframe.corpus.filtering import filter_documents
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import ingest
from coldframe.corpus.reading.paths import first_layouts, open_files
from coldframe.corpus.report import folders_under, report, save_report
from coldframe.corpus.sources import KINDS, Source, last_year, plain_names
from coldframe.corpus.store import Manifest, is_corpus, packed_bytes, read_manifest
from coldframe.errors import CorpusError, UsageError, did_you_mean
from coldframe.run.paths import report_file

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSources:
    """Look at text before it is read: which files, and how their fields would be understood."""

    paths: Positional[tuple[Path, ...]]
    """Files or folders."""
    json: bool = False
    """End with one line of JSON on standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusIngest:
    """Read text of any kind into folders of documents."""

    paths: Positional[tuple[Path, ...]]
    """Files or folders, each a source."""
    git: bool = False
    """The paths are Git repositories: their commit messages are the text."""
    hub: bool = False
    """The paths are datasets on the Hugging Face hub, owner/name, or folders like them."""
    subset: str = ""
    """Of a dataset on the hub, the part that its card calls a config."""
    split: str = ""
    """Of a dataset on the hub, the split; train where there is one."""
    hub_files: str = ""
    """Of a dataset on the hub, which files instead: a pattern such as data/2024/*.parquet."""
    revision: str = ""
    """Of a dataset on the hub, a branch, tag or commit; main unless given."""
    bytes: str = ""
    """Of a dataset on the hub, about how much text to take, such as 2GB."""
    out: Path
    """Where the documents go; with several inputs each gets a folder there."""
    kind: str = "prose"
    """What the text is like."""
    name: str = ""
    """The source's name; its folder's or file's unless given."""
    licence: str = "not stated"
    """Under which terms the text may be used."""
    language: str = "en"
    """What the text is written in."""
    dates: str = ""
    """When it was written, as a year or two: 1837-1901."""
    origin: str = ""
    """Where it comes from."""
    why: str = ""
    """Why it is there."""
    processes: int = 0
    """Processes to work with; one a core unless given."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFilter:
    """Judge documents: what is no good text, why, and what it looks like. Nothing is deleted."""

    paths: Positional[tuple[Path, ...]]
    """Files or folders of text, or folders of documents that `ingest` made."""
    git: bool = False
    """Of the paths those that hold no documents are Git repositories: their commit messages are the text."""
    kind: str = ""
    """What the text is like, which decides the limits; needed for raw text."""
    out: Path | None = None
    """Where raw text is read to; documents keep their verdicts beside them."""
    language: str = ""
    """What the text should be written in; what its source says unless given, en of raw text."""
    context: int = 512
    """Tokens that the model will see at once; longer paragraphs are too long."""
    last_year: int | None = None
    """For text of an age: the year after which nothing of it may have been written; else what its source says."""
    limit: tuple[str, ...] = ()
    """A limit of your own, as measure=value, or measure=off."""
    processes: int = 0
    """Processes to work with; one a core unless given."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusDedup:
    """Find what is there twice, within folders of documents and across them. Nothing is deleted."""

    paths: Positional[tuple[Path, ...]]
    """Folders of documents that `ingest` made; of equal documents the one in the first folder is kept."""
    against: tuple[Path, ...] = ()
    """Files or folders of what the model will be measured on: documents that hold some of it are dropped."""
    processes: int = 0
    """Processes to work with; one a core unless given."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusDialogue:
    """Take the conversations out of novels and plays: who answers whom."""

    books: Positional[tuple[Path, ...]]
    """Files or folders of books."""
    out: Path
    """The file of conversations to write, one a line."""
    gap: int = GAP
    """Characters of narration that may stand between a turn and its answer: fewer are surer."""
    processes: int = 0
    """Processes to work with; one a core unless given."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCurate:
    """Look at a corpus from all sides, and at what could be added: quality, topics, styles, balance, proposals."""

    paths: Positional[tuple[Path, ...]]
    """Folders of documents."""
    candidate: tuple[Path, ...] = ()
    """Folders of documents that could be added."""
    tokens: float | None = None
    """Training tokens of the run that is planned, to say how often text would be read."""
    improve: bool = False
    """First write better forms of the texts beside them: unwrapped, without page marks, with encodings mended."""
    accept: tuple[int, ...] = ()
    """The number of a proposal to write into the recipe."""
    recipe: Path | None = None
    """The recipe that an accepted proposal is written into."""
    why: str = ""
    """Why it is accepted; it stands in the recipe."""
    page: str | None = None
    """A name under which a report with all of it is kept, for a page of the explorer."""
    runs: str = "runs"
    """Folder that holds the runs, where the explorer finds the report."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


def look_at_sources(verb: CorpusSources) -> dict[str, Any]:
    """Which files each input holds, and how the fields of rows would be understood."""
    found = []
    for path in verb.paths:
        root, files, left_alone = open_files(path)
        found.append(
            {
                "path": str(path),
                "files": len(files),
                "bytes": sum(file.stat().st_size for file in files),
                "layouts": first_layouts(root, files),
                "left_alone": left_alone,
            }
        )
    return {"sources": found}


def ingest_inputs(verb: CorpusIngest, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """Read each input into its folder."""
    sources = [
        Source(
            name=name,
            kind=_kind(verb.kind),
            path=None if verb.git or verb.hub else str(path),
            git=str(path) if verb.git else None,
            hub=str(path.absolute() if path.is_dir() else path) if verb.hub else None,
            subset=verb.subset,
            split=verb.split,
            hub_files=verb.hub_files,
            revision=verb.revision,
            bytes=verb.bytes or None,
            licence=verb.licence,
            language=verb.language,
            dates=verb.dates,
            origin=verb.origin,
            why=verb.why,
        )
        for path, name in zip(verb.paths, _names(verb.paths, verb.name), strict=True)
    ]
    found = []
    for source, folder in zip(sources, _folders(verb.out, sources), strict=True):
        manifest = _ingested(source, folder, _processes(verb.processes), progress)
        found.append({"name": source.name, "folder": str(folder), **_told(manifest)})
    return {"sources": found}


def filter_inputs(verb: CorpusFilter, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """Judge each input, raw text after it was read; the totals of all."""
    folders = _documents(verb, progress)
    totals: dict[str, Any] = {"documents_in": 0, "documents_kept": 0, "dropped": {}, "quarantined": 0}
    size, seconds, examples = 0, 0.0, dict[str, list[tuple[str, str]]]()
    for folder in folders:
        manifest = read_manifest(folder)
        criteria = Criteria(
            kind=_kind(verb.kind) if verb.kind else manifest.source["kind"],
            language=verb.language or manifest.source["language"], context=verb.context, limits=_limits(verb.limit),
            last_year=verb.last_year or last_year(manifest.source["dates"]),
        )  # fmt: skip
        began = time.monotonic()
        told = in_shares(functools.partial(progress, f"filtering {manifest.source['name']}"), packed_bytes(folder))
        result = filter_documents(folder, criteria, processes=_processes(verb.processes), told=told)
        seconds += time.monotonic() - began
        size += result.bytes_in
        totals["documents_in"] += result.documents_in
        totals["documents_kept"] += result.documents_kept
        totals["quarantined"] += len(manifest.quarantined)
        for reason, count in result.dropped.items():
            totals["dropped"][reason] = totals["dropped"].get(reason, 0) + count
        for reason, shown in result.examples.items():
            examples.setdefault(reason, []).extend(shown)
    return totals | {
        "megabytes_per_second": round(size / 1e6 / max(seconds, 1e-9), 3),
        "folders": [str(folder) for folder in folders],
        "examples": examples,
    }


def dedup_folders(verb: CorpusDedup, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """Find duplicates among what the filters keep; the verdicts stand beside the documents."""
    times = 3 if verb.against else 2
    whole = times * sum(packed_bytes(path) for path in verb.paths)
    told = in_shares(functools.partial(progress, "looking for duplicates"), whole)
    searched = Contaminated()
    if verb.against:
        searched = find_contamination(verb.paths, verb.against, processes=_processes(verb.processes), told=told)
    found = deduplicate(verb.paths, processes=_processes(verb.processes), told=told)
    return {
        "contaminated": searched.dropped.total(),
        "evaluation": [
            {"set": name, "pieces": pieces, "found": searched.found[name]} for name, pieces in searched.sets.items()
        ],
        "contamination_examples": [list(example) for example in searched.examples],
        "documents": found.documents,
        "duplicates": found.exact,
        "near_duplicates": found.near,
        "kept": found.documents - found.exact - found.near,
        "pairs": [{"dropped": one, "kept": other, "documents": count} for (one, other), count in found.pairs.items()],
        "examples": [list(example) for example in found.examples],
    }


def extract_dialogue(verb: CorpusDialogue, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """Write the conversations of books to a file."""
    if verb.gap < 0:
        raise UsageError(f"--gap {verb.gap} is less than nothing", advice="0 keeps the surest conversations alone")
    if verb.out.is_dir():
        raise UsageError(f"{verb.out} is a folder", advice=f"name a file: --out {verb.out / 'talk.jsonl'}")
    found = extract(
        verb.books, verb.out, gap=verb.gap, processes=_processes(verb.processes),
        progress=lambda done: progress("taking out the conversations", done),
    )  # fmt: skip
    return {
        "books": found.books,
        "conversations": found.conversations,
        "pairs": found.pairs,
        "pairs_per_thousand_words": round(1000 * found.pairs / max(1, found.words), 3),
        "output": str(verb.out),
        "set_aside": [list(example) for example in found.set_aside],
        "examples": [json.loads(line) for line in _middle(verb.out, 2)],
    }


def curate_corpus(verb: CorpusCurate, progress: Progress = lambda what, done: None) -> dict[str, Any]:
    """What is to be seen in a corpus; an accepted proposal becomes a source of a recipe."""
    if verb.accept and (verb.recipe is None or not verb.why):
        raise UsageError("a proposal is accepted into a recipe, with a reason", advice="give --recipe FILE and --why")
    kept = report_file(verb.page, verb.runs) if verb.page is not None else None  # before any text is read
    folders = [folder for path in verb.paths for folder in folders_under(path)]
    candidates = [folder for path in verb.candidate for folder in folders_under(path)]
    if not folders:
        raise CorpusError(
            f"{verb.paths[0]} holds no corpus", advice="coldframe corpus ingest makes one of files and folders"
        )
    steps: list[str] = []

    def told(what: str) -> None:
        progress(what, len(steps) / 5)
        steps.append(what)

    improved = {}
    for folder in folders if verb.improve else ():
        progress(f"improving {folder.name}", 0.0)
        improved[str(folder)] = dataclasses.asdict(improve_documents(folder, processes=_processes(0)))
    found = curate(folders, candidates, training_tokens=verb.tokens, told=told)
    progress("done", 1.0)
    accepted = []
    for number in verb.accept:
        assert verb.recipe is not None
        accepted.append(accept(found.proposals, number, verb.recipe, verb.why))
    if kept is not None:
        save_report(kept, report(folders, training_tokens=verb.tokens), found.as_json())
    return {
        **found.as_json(), "accepted": accepted, "improved": improved,
        "page": f"/corpus/{verb.page}" if kept is not None else None,
    }  # fmt: skip


def _middle(path: Path, number: int) -> list[str]:
    """Some lines from the middle of a file."""
    with path.open(encoding="utf-8") as file:
        skip = sum(1 for _ in file) // 2
        file.seek(0)
        return list(itertools.islice(file, skip, skip + number))


def _documents(verb: CorpusFilter, progress: Progress) -> list[Path]:
    """The folders of documents to be judged; raw text is read first."""
    raw = [path for path in verb.paths if not is_corpus(path)]
    if raw and verb.out is None:
        raise UsageError(
            f"{raw[0]} holds raw text, which is read before it is judged", advice="say where to: --out FOLDER"
        )
    if raw and not verb.kind:
        raise UsageError(f"of {raw[0]} nobody said what it is like", advice=f"give --kind, one of {', '.join(KINDS)}")
    sources = [
        Source(
            name=name,
            kind=_kind(verb.kind),
            path=None if verb.git else str(path),
            git=str(path) if verb.git else None,
            language=verb.language or "en",
        )
        for path, name in zip(raw, _names(raw, ""), strict=True)
    ]
    folders = [path for path in verb.paths if path not in raw]
    for source, folder in zip(sources, _folders(verb.out or Path(), sources), strict=True):
        _ingested(source, folder, _processes(verb.processes), progress)
        folders.append(folder)
    return folders


def _ingested(source: Source, folder: Path, processes: int, progress: Progress) -> Manifest:
    return ingest(source, folder, processes=processes, progress=lambda done: progress(f"reading {source.name}", done))


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        **manifest.counts,
        "layouts": manifest.layouts,
        "quarantined": len(manifest.quarantined),
        "examples": [list(example) for example in manifest.quarantined[:20]],
    }


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r} of text", advice=did_you_mean(kind, KINDS))
    return kind


def _limits(given: Sequence[str]) -> dict[str, float | None]:
    limits: dict[str, float | None] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            limits[name] = None if value == "off" else float(value)
        except ValueError:
            raise UsageError(f"--limit {text} has no number", advice="such as --limit num_words=10, or =off") from None
    return limits


def _names(paths: Sequence[Path], given: str) -> list[str]:
    if given and len(paths) > 1:
        raise UsageError("--name names one source, and there are several inputs", advice="ingest them one by one")
    return [given] if given else plain_names(paths)


def _folders(out: Path, sources: Sequence[Source]) -> list[Path]:
    return [out] if len(sources) == 1 else [out / source.name for source in sources]


def _processes(given: int) -> int:
    return given if given > 0 else len(os.sched_getaffinity(0))
