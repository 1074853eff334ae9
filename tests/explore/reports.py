"""A corpus for the tests of its page: a few texts, made ready by the real verbs; and a curation by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coldframe.corpus.verbs import CorpusDedup, CorpusFilter, CorpusIngest, dedup_folders, filter_inputs, ingest_inputs
from coldframe.tokens.verbs import CorpusReport, report_corpus

#: What a hostile text would do if any of it were taken for markup.
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\"'>&amp;"
RIGHT_TO_LEFT = "שלום עולם, زيت الزيتون"
LONG = "a line that does not end " * 400

_RAIN = "The gardener stood by the window of the house, and the rain that fell on the roof was warm and had no end."
_PROSE = (
    _RAIN,
    _RAIN,
    "Of all the ships that came to the bay that year, this one had the oldest sails and the least to say for it.",
    "A teacher has to be patient, she thought, and closed the book that nobody in the last row had opened since May.",
)


def make_corpus(folder: Path) -> Path:
    """Two sources: prose with a text that is there twice, one in another script and one too short; and talk."""
    raw, corpus = folder / "raw", folder / "corpus"
    books, talk = raw / "books", raw / "talk.jsonl"
    books.mkdir(parents=True)
    for number, text in enumerate(_PROSE):
        (books / f"{number}.txt").write_text(text, encoding="utf-8")
    (books / "short.txt").write_text(f"{HOSTILE} ends here.", encoding="utf-8")
    (books / "other.txt").write_text(f"{RIGHT_TO_LEFT} " * 30, encoding="utf-8")
    turns = ("Is the house warm?", "It is; the gardener lit the fire."), ("Who is there?", "Only me and the rain.")
    lines = [{"messages": [{"role": "user", "content": a}, {"role": "assistant", "content": b}]} for a, b in turns]
    talk.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for path, kind in ((books, "prose"), (talk, "chat")):
        ingest_inputs(CorpusIngest(paths=(path,), kind=kind, out=corpus / path.stem, licence="CC0", processes=1))
    folders = (corpus / "books", corpus / "talk")
    filter_inputs(CorpusFilter(paths=folders, processes=1))
    dedup_folders(CorpusDedup(paths=folders, processes=1))
    return corpus


def keep_report(corpus: Path, runs: Path, name: str) -> dict[str, Any]:
    """Have the report of a corpus kept for a page, as `coldframe corpus report --page` does."""
    return report_corpus(CorpusReport(paths=(corpus,), page=name, runs=str(runs)))


def change_report(runs: Path, name: str, **changes: Any) -> None:
    """Change what a report that is kept says: `sources` by its first source's fields, the rest as it is given."""
    path = runs / "corpus" / "reports" / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["sources"][0] |= changes.pop("source", {})
    path.write_text(json.dumps(content | changes, ensure_ascii=False), encoding="utf-8")


def curation(words: str = "", sources: tuple[str, ...] = ("books", "talk")) -> dict[str, Any]:
    """A curation of two sources; `words` stands in every text of it."""

    def topic(x: float, y: float, share: float, first: float, *named: str) -> dict[str, Any]:
        parts = {sources[0]: first, sources[1]: 1 - first}
        found = [*named, *([words] if words else [])]
        shown = [[f"a.txt:1 {words}", f"The {named[0]} {words}"]]
        return {"words": found, "x": x, "y": y, "share": share, "by_source": parts, "examples": shown}

    return {
        "sample": {"documents": 1234, "bytes": 56_789},
        "topics": [
            topic(0.1, 0.2, 0.5, 0.9, "garden", "glass", "rain"),
            topic(0.12, 0.2, 0.3, 0.2, "fire", "warm", "house"),
            topic(-1, -1, 0.2, 0.6, "ship", "captain"),
        ],
        "effective_topics": 2.6,
        "styles": [{"source": name, "words_per_sentence": 12.345, "questions": 0.25} for name in sources],
        "quality": {
            sources[0]: {"median": 61, "low": 40, "high": 80, "examples": [[70.2, f"b.txt {words}", f"Good {words}"]]},
            sources[1]: {"median": 44, "low": 20, "high": 66, "examples": []},
        },
        "balance": [
            {"source": name, "tokens": 4321, "natural": 0.5, "low": 0.2, "high": 0.6, "proposed": part, "epochs": 1.5}
            for name, part in zip(sources, (0.45, 0.55), strict=True)
        ],
        "gaps": [{"gap": f"answers that ask back {words}", "found": 3, "wanted": 40}],
        "proposals": [
            {"number": 1, "name": f"task{words}", "kind": "dialogue", "path": f"/data/{words}", "tokens": 2_900_000,
             "epochs": 2.1, "fills": f"answers that ask back {words}", "measured": True},
            {"number": 2, "name": "public", "kind": "chat", "path": "someone/public", "tokens": 8e8, "epochs": 0.07,
             "fills": "too little text", "measured": False},
        ],
    }  # fmt: skip
