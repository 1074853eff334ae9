"""Reading and judging as blocks of a datatrove pipeline, for machines that share a folder.

    work = read_and_judge(source, folder, criteria, tasks=64)       # or judge_folder(folder, criteria, tasks=64)
    LocalPipelineExecutor(work.steps, tasks=work.tasks, workers=8, logging_dir=work.logs).run()
    work.merge()

Slurm's and Ray's executors take the same steps. The folder is then, byte for byte, what `coldframe corpus ingest` and
`filter` make, journals included, so that either goes on where the other was.

datatrove knows a task that is done by an empty file with its number, whatever it was done with. So all that tasks
write, those files included, stands in a folder that is named by a hash of the input, the settings, the code and the
number of tasks. Every task looks whether it has that code, and `merge` takes nothing that is missing, damaged or of
other input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash

from coldframe.corpus import dialogue, documents, filtering, filters, ingest, messages, reading, store
from coldframe.corpus.batches import Batch, Made, code_of, key_of
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.filtering import Filtered, as_verdicts, filter_documents
from coldframe.corpus.filters.judging import Criteria, Verdict, judge
from coldframe.corpus.ingest import EVERYTHING, as_part, documents_of, fill, read_notes
from coldframe.corpus.messages import conversation
from coldframe.corpus.sources import Source
from coldframe.corpus.store import DOCUMENTS, FILTER, Stored, read_part, stored, unpack_documents
from coldframe.errors import CorpusError, DependencyError
from coldframe.run.durable import room_for, write_whole

try:
    from datatrove.data import Document as Passed
    from datatrove.pipeline.base import PipelineStep
except ImportError as error:
    raise DependencyError(
        "running on datatrove's executors needs datatrove, which is not installed", advice="type: pip install datatrove"
    ) from error

_GROUP = 1 << 20
"""Characters judged at once."""
_AGAIN = "run the executor again with this work's steps and logging_dir; if it says all is done, delete {done} first"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledWork:
    """Work on a corpus, as any of datatrove's executors can do it."""

    folder: Path
    """The folder of documents."""
    source: Source | None
    """What is read into it; None where it is there already."""
    criteria: Criteria
    tasks: int
    key: str
    """Hash of the input, the settings, the code and the number of tasks."""

    @property
    def ranks(self) -> Path:
        """Where the tasks write, and nobody who has another key."""
        return self.folder / "ranks" / self.key

    @property
    def logs(self) -> str:
        """The executor's `logging_dir`: where datatrove notes which tasks are done."""
        return str(self.ranks / "logs")

    @property
    def steps(self) -> list[Any]:
        """The pipeline, for any executor."""
        place, code = str(self.ranks), _code()
        return [
            ReadBatches(place, code),
            JudgeDocuments(self.criteria),
            WriteRank(place, code, self.source is not None),
        ]

    def merge(self) -> Filtered:
        """Make the folder of what the tasks left.

        Raises:
            CorpusError: when a task is missing or damaged, when the input changed since, or when a step of somebody
                else's between these dropped documents.
        """
        batches = _batches(self.folder, self.source, self.criteria)
        if _key(batches, self.criteria, self.tasks) != self.key:
            raise CorpusError(
                f"what the tasks in {self.ranks} read, or the code, has changed since",
                advice="plan the work anew and run it again",
            )
        ranks = [_Rank(self.ranks, rank, self.tasks, self.logs) for rank in range(self.tasks)]

        def made(number: int, file: str) -> Made:
            return ranks[number % self.tasks].made(number, file)

        if self.source is not None:
            numbered = [dataclasses.replace(batch, payload=number) for number, batch in enumerate(batches)]
            fill(self.source, self.folder, numbered, lambda number: made(number, DOCUMENTS))
        return filter_documents(self.folder, self.criteria, work=lambda payload: made(payload[2], FILTER))


def read_and_judge(source: Source, folder: Path, criteria: Criteria, *, tasks: int) -> ScaledWork:
    """Plan the reading of a source into `folder` and the filters' verdicts on it.

    Raises:
        SourceError: when there is no text.
        CorpusError: for a number of tasks that cannot be.
    """
    return _planned(folder, source, criteria, tasks)


def judge_folder(folder: Path, criteria: Criteria, *, tasks: int) -> ScaledWork:
    """Plan the filters' verdicts on a folder of documents; raises CorpusError when it is none."""
    return _planned(folder, None, criteria, tasks)


def _planned(folder: Path, source: Source | None, criteria: Criteria, tasks: int) -> ScaledWork:
    if tasks < 1:
        raise CorpusError(f"{tasks} tasks do nothing", advice="give 1 or more")
    batches = _batches(folder, source, criteria)
    work = ScaledWork(
        folder=folder, source=source, criteria=criteria, tasks=tasks, key=_key(batches, criteria, tasks)
    )  # fmt: skip
    lines = (json.dumps({"key": batch.key, "payload": batch.payload}).encode() + b"\n" for batch in batches)
    write_whole(work.ranks / "batches.jsonl", b"".join(lines))
    return work


def _batches(folder: Path, source: Source | None, criteria: Criteria) -> list[Batch]:
    if source is not None:
        return list(ingest.batches_of(source))
    return filtering.batches_of(folder, criteria)


def _code() -> str:
    """A hash of all code that the steps rest on."""
    return code_of(reading, dialogue, filters, documents, messages, store, ingest, filtering, sys.modules[__name__])


def _key(batches: Sequence[Batch], criteria: Criteria, tasks: int) -> str:
    return key_of([batch.key for batch in batches], dataclasses.asdict(criteria), tasks, _code())


class ReadBatches(PipelineStep):  # type: ignore[misc]
    """Reads a task's batches; each document has its source, place, messages and batch in its metadata."""

    name = "coldframe"
    type = "📖 - READER"

    def __init__(self, ranks: str, code: str) -> None:
        super().__init__()
        self.ranks, self.code = ranks, code

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Passed]:
        """The documents of every `world_size`-th batch; what was set aside goes to a file of this task's."""
        if self.code != _code():
            raise CorpusError(
                "this machine has other code than the one that planned the work", advice="install the same"
            )
        yield from data or ()
        place = Path(self.ranks)
        with (
            room_for(place),
            (place / "batches.jsonl").open("rb") as batches,
            (place / f"{rank:05d}.read").open("wb") as notes,
        ):
            for number, line in itertools.islice(enumerate(batches), rank, None, world_size):
                yield from self._batch(number, orjson.loads(line)["payload"], notes.write)

    def _batch(self, number: int, payload: Any, note: Callable[[bytes], object]) -> Iterator[Passed]:
        count, quarantine, layouts = 0, Quarantine(keep=EVERYTHING), dict[str, str]()
        found = (
            (stored(payload["source"], document) for document in documents_of(payload, quarantine, layouts))
            if isinstance(payload, dict)
            else unpack_documents(read_part(Path(payload[0]) / DOCUMENTS, payload[1], payload[2]))
        )
        for one in found:
            count += 1
            self.stat_update("documents")
            yield _passed(one, number)
        read = {"batch": number, "documents": count, "notes": read_notes(quarantine, layouts)}
        note(orjson.dumps(read | {"try_again": quarantine.try_again}) + b"\n")


class JudgeDocuments(PipelineStep):  # type: ignore[misc]
    """Every filter's verdict in a document's metadata, as `filter`: keep, reason, features.

    Works behind any reader of datatrove's; `drop` leaves out what would not be kept.
    """

    name = "coldframe"
    type = "🔻 - FILTER"

    def __init__(self, criteria: Criteria, drop: bool = False) -> None:
        super().__init__()
        self.criteria, self.drop = criteria, drop

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Passed]:
        """The same documents in the same order, about a megabyte of them judged at once."""
        group: list[Passed] = []
        size = 0
        for passed in data:
            group.append(passed)
            size += len(passed.text)
            if size >= _GROUP:
                yield from self._judged(group)
                group, size = [], 0
        yield from self._judged(group)

    def _judged(self, group: list[Passed]) -> Iterator[Passed]:
        with self.track_time("group"):
            verdicts = judge([_document(passed) for passed in group], self.criteria)
        for passed, verdict in zip(group, verdicts, strict=True):
            self.stat_update("kept" if verdict.keep else f"dropped_{verdict.reason}")
            passed.metadata["filter"] = dataclasses.asdict(verdict)
            if verdict.keep or not self.drop:
                yield passed


class WriteRank(PipelineStep):  # type: ignore[misc]
    """Writes what a task made, batch by batch, and last a file that says that it is whole."""

    name = "coldframe"
    type = "💽 - WRITER"

    def __init__(self, ranks: str, code: str, with_documents: bool) -> None:
        super().__init__()
        self.ranks, self.code, self.with_documents = ranks, code, with_documents

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Passed]:
        """The same documents, each once its batch is written."""
        place, done = Path(self.ranks), []
        (place / f"{rank:05d}.json").unlink(missing_ok=True)
        with room_for(place), contextlib.ExitStack() as stack:
            files = [DOCUMENTS, FILTER] if self.with_documents else [FILTER]
            outputs = {file: stack.enter_context(_output(place, rank, file).open("wb")) for file in files}
            for number, group in itertools.groupby(data, lambda passed: int(passed.metadata["batch"])):
                whole = list(group)
                line: dict[str, Any] = {"batch": number, "documents": len(whole)}
                for file, made in self._made(whole).items():
                    outputs[file].write(made.files[file])
                    known_as = xxhash.xxh3_64_hexdigest(made.files[file])
                    line[file] = [len(made.files[file]), known_as, made.counts, made.notes]
                done.append(line)
                yield from whole
        write_whole(place / f"{rank:05d}.json", orjson.dumps({"code": self.code, "tasks": world_size, "batches": done}))

    def _made(self, whole: Sequence[Passed]) -> dict[str, Made]:
        found = [stored(passed.metadata["source"], _document(passed)) for passed in whole]
        for passed, one in zip(whole, found, strict=True):
            if passed.id != one.id:
                raise CorpusError(
                    f"a step before the last changed {one.document.place}",
                    advice="leave it out: texts stay as they are",
                )
        verdicts = [Verdict(**passed.metadata["filter"]) for passed in whole]
        return ({DOCUMENTS: as_part(found, ())} if self.with_documents else {}) | {FILTER: as_verdicts(found, verdicts)}


class _Rank:
    """What one task left."""

    def __init__(self, place: Path, rank: int, tasks: int, logs: str) -> None:
        self._place, self._rank = place, rank
        self._advice = _AGAIN.format(done=f"{logs}/completions/{rank:05d}")
        whole = self._read(f"{rank:05d}.json")
        record = orjson.loads(whole)
        if record["code"] != _code() or record["tasks"] != tasks:
            raise CorpusError(f"task {rank} of {tasks} was done as one of other work", advice=self._advice)
        self._lines, self._starts, ends = {}, dict[tuple[int, str], int](), Counter[str]()
        for line in record["batches"]:
            self._lines[line["batch"]] = line
            for file in line.keys() & {DOCUMENTS, FILTER}:
                self._starts[line["batch"], file] = ends[file]
                ends[file] += line[file][0]
        self._read_lines = {
            line["batch"]: line for line in map(orjson.loads, self._read(f"{rank:05d}.read").splitlines())
        }

    def made(self, number: int, file: str) -> Made:
        """What was made of a batch for one of the two files."""
        if number not in self._read_lines:
            raise CorpusError(f"task {self._rank} did not read batch {number}", advice=self._advice)
        read = self._read_lines[number]
        line = self._lines.get(number, {"documents": 0})
        if line["documents"] != read["documents"]:
            raise CorpusError(
                f"of {read['documents']} documents of batch {number} {line['documents']} came to the last step",
                advice="leave out the step between that drops some: verdicts stand beside the documents",
            )
        data, counts, notes = b"", Counter[str](), []
        if line["documents"]:
            size, known_as, counts, notes = line[file]
            with _output(self._place, self._rank, file).open("rb") as output:
                output.seek(self._starts[number, file])
                data = output.read(size)
            if xxhash.xxh3_64_hexdigest(data) != known_as:
                raise CorpusError(f"what task {self._rank} wrote is damaged", advice=self._advice)
        if file == DOCUMENTS:
            return Made({file: data}, Counter(counts), tuple(read["notes"]), read["try_again"])
        return Made({file: data}, Counter(counts), tuple(notes))

    def _read(self, name: str) -> bytes:
        try:
            return (self._place / name).read_bytes()
        except FileNotFoundError:
            raise CorpusError(
                f"task {self._rank} is not done: {self._place / name} is missing", advice=self._advice
            ) from None


def _output(place: Path, rank: int, file: str) -> Path:
    return place / f"{rank:05d}.{file.replace('/', '-')}"


def _passed(one: Stored, number: int) -> Passed:
    about: dict[str, Any] = {"source": one.source, "place": one.document.place, "batch": number}
    if one.document.messages:
        about["messages"] = [dataclasses.asdict(message) for message in one.document.messages]
    return Passed(text=one.document.text, id=one.id, metadata=about)


def _document(passed: Passed) -> Document:
    """Our document; behind another reader than ours its id is its place."""
    said = passed.metadata.get("messages")
    return Document(
        text=passed.text, place=str(passed.metadata.get("place", passed.id)),
        messages=conversation(said) if said else (),
    )  # fmt: skip
