"""What became of every source: in, out, dropped, by reason, with something of each to look at."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldframe.corpus.filtering import judged_documents
from coldframe.corpus.store import QUALITY, is_corpus, read_manifest
from coldframe.run.durable import write_whole

_EXAMPLES, _EXCERPT = 3, 240


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """One source's line of the report."""

    name: str
    kind: str
    licence: str
    documents_in: int
    bytes_in: int
    documents_kept: int
    bytes_kept: int
    quarantined: int
    dropped: dict[str, int]
    """Reason of a filter -> documents."""
    duplicates: int
    tokens: int | None
    """Of the documents that are kept; None where no tokenizer was given."""
    quality: float | None
    """Median quality of its texts, 0 to 100, as `corpus curate` found it; None where it was not asked."""
    epochs_planned: float | None
    """How often the kept text will be read; None where no number of training tokens was given."""
    examples: dict[str, list[tuple[str, str]]]
    """Reason -> (place, how the text begins) of a few."""
    unfiltered: str = ""
    """Why it was not filtered, where that was wanted."""


def report(
    folders: Sequence[Path],
    *,
    count_tokens: Callable[[str], int] | None = None,
    training_tokens: float | None = None,
    also: Sequence[Path | None] = (),
    told: Callable[[str], None] = lambda name: None,
) -> list[SourceReport]:
    """A line for each folder of documents. With both a counter and a number of training tokens the epochs are those of
    reading all sources in the proportion of their tokens. `also` names for each verdicts that stand elsewhere.

    Raises:
        CorpusError: for a folder that is none, or whose attributes speak of other documents.
    """
    found = []
    for folder, elsewhere in zip(folders, also or [None] * len(folders), strict=True):
        told(str(read_manifest(folder).source["name"]))
        found.append(_counted(folder, count_tokens, [elsewhere] if elsewhere else []))
    total = sum(counted["tokens"] or 0 for counted in found)
    epochs = training_tokens / total if training_tokens and total else None
    return [SourceReport(**counted, epochs_planned=epochs and round(epochs, 2)) for counted in found]


def save_report(path: Path, sources: Sequence[SourceReport], curation: Mapping[str, Any] | None = None) -> None:
    """Write a report to a file, for the explorer; without a curation that of the same documents is kept."""
    if curation is None and path.exists():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            before = json.loads(path.read_bytes())
            same = [(one["name"], one["documents_in"]) for one in before["sources"]]
            if same == [(source.name, source.documents_in) for source in sources]:
                curation = before.get("curation")
    content = {"made": time.time(), "sources": [dataclasses.asdict(source) for source in sources], "curation": curation}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1).encode())


def _counted(folder: Path, count_tokens: Callable[[str], int] | None, also: Sequence[Path]) -> dict[str, Any]:
    manifest = read_manifest(folder)
    dropped: Counter[str] = Counter()
    examples: dict[str, list[tuple[str, str]]] = {}
    documents = kept = bytes_in = bytes_kept = tokens = 0
    for one, said in judged_documents(folder, also=also):
        size = len(one.document.text.encode())
        documents, bytes_in = documents + 1, bytes_in + size
        reason = next((line["reason"] for line in said if not line["keep"]), None)
        if reason is None:
            kept, bytes_kept = kept + 1, bytes_kept + size
            tokens += count_tokens(one.document.text) if count_tokens else 0
            continue
        dropped[reason] += 1
        shown = examples.setdefault(reason, [])
        if len(shown) < _EXAMPLES:
            shown.append((one.document.place, one.document.text[:_EXCERPT]))
    duplicates = sum(dropped.pop(reason, 0) for reason in ("duplicate", "near-duplicate"))
    return {
        "name": manifest.source["name"],
        "kind": manifest.source["kind"],
        "licence": manifest.source["licence"],
        "documents_in": documents,
        "bytes_in": bytes_in,
        "documents_kept": kept,
        "bytes_kept": bytes_kept,
        "quarantined": len(manifest.quarantined),
        "dropped": dict(dropped.most_common()),
        "duplicates": duplicates,
        "tokens": tokens if count_tokens else None,
        "quality": _quality(folder),
        "examples": examples,
    }


def _quality(folder: Path) -> float | None:
    try:
        return float(json.loads((folder / QUALITY).read_bytes())["median"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def folders_under(path: Path) -> Iterator[Path]:
    """The folder itself when it holds documents, else those directly in it that do."""
    if is_corpus(path):
        yield path
    elif path.is_dir():
        yield from filter(is_corpus, sorted(path.iterdir()))
