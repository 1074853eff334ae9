"""How many planted copies `corpus dedup` finds, what else it drops, how fast it is and what it holds: prints JSON.

    python benchmarks/duplicates.py TEXT... [--kind chat] [--chapters] [--exact 1000] [--near 1000] [--words 50]
        [--changed 0.01] [--seed 0] [--documents 0]

Each TEXT is a source. To it are added exact copies (in capitals or in small letters, with other spaces) and near copies
(of texts of at least `--words` words, with 1% of them, at least one, replaced by words of other texts). Then `corpus
ingest` and `corpus dedup` run as processes of their own, on one core. Told is the share of each that is found, by the
number of words that are compared (opening paragraphs that many share are not); what else is dropped, each a possible
false alarm, by source, with examples to judge; processor time; and each process's peak memory. `--chapters` cuts books
at their headings; `--documents` takes so many of each source at most.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.signatures import openings, words_of
from coldframe.corpus.sources import Source, open_source, plain_names
from coldframe.corpus.store import DEDUP, DOCUMENTS, Stored, unpack_documents

HEADING = re.compile(r"^[ \t]*(?:chapter|book|part|letter)\b[^\n]{0,60}$|^[ \t]*[IVXLC]{1,7}\.?[ \t]*$", re.I | re.M)
BANDS = (0, 50, 100, 300, 1000, 10_000)
EXAMPLES = 30


def main() -> None:
    """Plant, run and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="+", type=Path)
    parser.add_argument("--kind", default="prose")
    parser.add_argument("--chapters", action="store_true")
    parser.add_argument("--exact", type=int, default=1000)
    parser.add_argument("--near", type=int, default=1000)
    parser.add_argument("--words", type=int, default=50)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=0)
    arguments = parser.parse_args()
    names = plain_names(arguments.text)
    sources = {name: list(documents_of(path, arguments)) for path, name in zip(arguments.text, names, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(sources, arguments, Path(folder)), ensure_ascii=False))


def documents_of(path: Path, arguments: argparse.Namespace) -> Iterator[Document]:
    """The documents of a path, or the chapters of its books."""
    count = 0
    for document in open_source(Source(name="x", kind=arguments.kind, path=str(path))).documents(Quarantine()):
        for one in chapters_of(document) if arguments.chapters else [document]:
            yield one
            count += 1
            if count == arguments.documents:
                return


def chapters_of(book: Document) -> Iterator[Document]:
    """What stands between the headings of a book, from 200 characters on."""
    starts = [0, *(found.start() for found in HEADING.finditer(book.text)), len(book.text)]
    for number, (start, end) in enumerate(zip(starts, starts[1:], strict=False)):
        if end - start >= 200:
            yield Document(text=book.text[start:end], place=f"{book.place}, chapter {number}")


def measured(sources: dict[str, list[Document]], arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Plant in every source its share of the copies, run both verbs, and see what was dropped."""
    draw = random.Random(arguments.seed)
    words = [word for documents in sources.values() for one in draw.sample(documents, min(50, len(documents)))
             for word in one.text.split()]  # fmt: skip
    total = sum(map(len, sources.values()))
    planted: dict[str, list[tuple[str, int]]] = {}
    for name, documents in sources.items():
        share = len(documents) / total
        long = [number for number, one in enumerate(documents) if num_words(one) >= arguments.words]
        exact = draw.sample(range(len(documents)), min(len(documents), round(arguments.exact * share)))
        near = draw.sample(long, min(len(long), round(arguments.near * share)))
        planted[name] = [("exact", number) for number in exact] + [("near", number) for number in near]
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for one in documents:
                file.write(row(one, spoken(one)))
            for what, number in planted[name]:
                one = documents[number]
                texts = disguised(one, draw) if what == "exact" else replaced(one, words, arguments.changed, draw)
                file.write(row(one, texts))
    seconds, memory = {}, {}
    files = [str(folder / f"{name}.jsonl") for name in sources]
    out = folder / "out"
    for verb in (["ingest", *files, "--out", str(out), "--kind", arguments.kind],
                 ["dedup", *(str(out / name if len(sources) > 1 else out) for name in sources)]):  # fmt: skip
        command = [sys.executable, "-m", "coldframe", "corpus", *verb, "--processes", "1", "--quiet", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"coldframe corpus {verb[0]} ended with {process.returncode}")
        seconds[verb[0]], memory[verb[0]] = used.ru_utime + used.ru_stime, round(used.ru_maxrss / 1024)
    folders = {name: out / name if len(sources) > 1 else out for name in sources}
    size = sum(len(one.document.text.encode()) for place in folders.values() for one in stored_in(place)) / 1e6
    return {
        "sources": {name: len(documents) for name, documents in sources.items()},
        "megabytes": round(size, 2),
        **found_in(folders, sources, planted),
        "processor_seconds": {verb: round(of_verb, 2) for verb, of_verb in seconds.items()},
        "megabytes_per_second": {verb: round(size / of_verb, 2) for verb, of_verb in seconds.items()},
        "peak_memory_megabytes": memory,
    }


def found_in(
    folders: dict[str, Path], sources: dict[str, list[Document]], planted: dict[str, list[tuple[str, int]]]
) -> dict[str, Any]:
    """Which copies are dropped, and what else is."""
    tried, found, bands_tried, bands_found = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    others, missed, examples = Counter[str](), [], []
    every = {one.id: one for place in folders.values() for one in stored_in(place)}
    for name, place in folders.items():
        with (place / DEDUP).open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        documents = sources[name]
        own = num_compared(documents)
        for number, line in enumerate(lines):
            if number >= len(documents):
                what, original = planted[name][number - len(documents)]
                band = band_of(own[original])
                tried[what] += 1
                found[what] += not line["keep"]
                if what == "near":
                    bands_tried[band] += 1
                    bands_found[band] += not line["keep"]
                    if line["keep"]:
                        missed.append(f"{documents[original].place}: {own[original]} words")
            elif not line["keep"]:
                others[f"{name}: {line['reason']}"] += 1
                if line["reason"] == "near-duplicate":
                    examples.append((line["features"]["similarity"], begins(every[line["id"]]),
                                     begins(every[line["features"]["duplicate_of"]])))  # fmt: skip
    examples.sort(key=lambda example: example[0])
    step = max(1, len(examples) // EXAMPLES)
    return {
        "planted": dict(tried),
        "found": {what: round(found[what] / tried[what], 4) for what in tried},
        "near_found_by_words_compared": {
            band: f"{bands_found[band]} of {bands_tried[band]}" for band in sorted(bands_tried, key=_first)
        },
        "missed": missed[:EXAMPLES],
        "dropped_besides": dict(others),
        "examples_besides": examples[::step][:EXAMPLES],
    }


def _first(band: str) -> int:
    return int(band.split("-")[0].removesuffix("+"))


def stored_in(folder: Path) -> Iterator[Stored]:
    """The documents of a folder."""
    return unpack_documents((folder / DOCUMENTS).read_bytes())


def begins(one: Stored) -> str:
    """Where a text stands, and how it begins."""
    return f"{one.document.place}: {' '.join(one.document.text.split())[:160]}"


def band_of(count: int) -> str:
    """The band of lengths that a number of words stands in."""
    low = max((band for band in BANDS if band <= count), default=0)
    high = next((band for band in BANDS if band > count), None)
    return f"{low}-{high}" if high else f"{low}+"


def num_words(document: Document) -> int:
    """Words of what is compared."""
    return len(" ".join(spoken(document)).split())


def num_compared(documents: Sequence[Document]) -> list[int]:
    """Words of each that are compared: without opening paragraphs that many of the source share."""
    hashes, counts = np.unique(openings(documents), return_counts=True)
    return np.diff(words_of(documents, hashes[counts >= max(20, len(documents) // 1000)]).of).tolist()


def spoken(document: Document) -> list[str]:
    """What is compared: the text, or what people and the assistant say."""
    said = [message.content for message in document.messages if message.role in ("user", "assistant")]
    return said if document.messages else [document.text]


def row(document: Document, texts: Sequence[str]) -> str:
    """A line of JSON with these texts in the place of what is compared."""
    if not document.messages:
        return json.dumps({"text": texts[0]}) + "\n"
    rest, messages = iter(texts), []
    for message in document.messages:
        content = next(rest) if message.role in ("user", "assistant") else message.content
        call = {"call": message.call} if message.call is not None else {}
        messages.append({"role": message.role, "content": content} | call)
    return json.dumps({"messages": messages}) + "\n"


def disguised(document: Document, draw: random.Random) -> list[str]:
    """The same words with other capitals and spaces; ASCII alone changes case, as some letters have no way back."""
    upper, found = draw.random() < 0.5, []
    for text in spoken(document):
        cased = "".join(
            (letter.upper() if upper else letter.lower()) if letter.isascii() else letter for letter in text
        )
        found.append("  " + re.sub(r"(?<=\S) (?=\S)", lambda _: draw.choice((" ", "  ", " \t")), cased) + "\n")
    return found


def replaced(document: Document, words: Sequence[str], share: float, draw: random.Random) -> list[str]:
    """A share of the words replaced by others, one at least."""
    texts = [re.split(r"(\s+)", text) for text in spoken(document)]
    places = [(parts, place) for parts in texts for place in range(0, len(parts), 2) if parts[place]]
    for parts, place in draw.sample(places, max(1, round(len(places) * share))):
        parts[place] = draw.choice([word for word in draw.sample(words, 3) if word != parts[place]] or ["otherwise"])
    return ["".join(parts) for parts in texts]


if __name__ == "__main__":
    main()
